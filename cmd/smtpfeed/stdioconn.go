package main

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"net"
	"os"
	"syscall"
	"time"
)

// awayFromReplies returns where a process that speaks LMTP on standard output may complain: to standard error, unless that is the
// same file. Sendmail makes it so for a program mailer, and a line that is no reply must never stand between those that are; then
// syslog is told, where the operator looks for what concerns mail.
func awayFromReplies(w io.Writer) io.Writer {
	if w != os.Stderr || !sameFile(syscall.Stdout, syscall.Stderr) {
		return w
	}
	log, err := syslog.New(syslog.LOG_MAIL|syslog.LOG_NOTICE, "smtpfeed")
	if err != nil {
		return io.Discard // nobody is left to tell
	}
	return log
}

// sameFile says that two descriptors are one file.
func sameFile(a, b int) bool {
	var x, y syscall.Stat_t
	return syscall.Fstat(a, &x) == nil && syscall.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// stdioConn makes a connection of standard input and output: one socket, or two pipes.
func stdioConn() (net.Conn, error) {
	var in syscall.Stat_t
	if err := syscall.Fstat(syscall.Stdin, &in); err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if in.Mode&syscall.S_IFMT == syscall.S_IFSOCK && sameFile(syscall.Stdin, syscall.Stdout) {
		return net.FileConn(os.Stdin)
	}
	// Only descriptors that do not block have deadlines, and the LMTP side relies on them. The flag belongs to the pipe's end, which
	// is ours alone.
	if err := errors.Join(syscall.SetNonblock(syscall.Stdin, true), syscall.SetNonblock(syscall.Stdout, true)); err != nil {
		return nil, fmt.Errorf("standard input and output: %w", err)
	}
	return &pipeConn{in: os.NewFile(0, "standard input"), out: os.NewFile(1, "standard output")}, nil
}

// A pipeConn is a net.Conn of two pipes.
type pipeConn struct{ in, out *os.File }

// Read reads from the host MTA.
func (c *pipeConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write writes to the host MTA.
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close closes both ends.
func (c *pipeConn) Close() error { return errors.Join(c.out.Close(), c.in.Close()) }

// LocalAddr and RemoteAddr name the pipes.
func (c *pipeConn) LocalAddr() net.Addr  { return stdioAddr{} }
func (c *pipeConn) RemoteAddr() net.Addr { return stdioAddr{} }

// SetDeadline and its halves set what the files can. A regular file, which tests may give, has no deadlines and never waits.
func (c *pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *pipeConn) SetReadDeadline(t time.Time) error { return deadlineError(c.in.SetReadDeadline(t)) }
func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	return deadlineError(c.out.SetWriteDeadline(t))
}

func deadlineError(err error) error {
	if errors.Is(err, os.ErrNoDeadline) {
		return nil
	}
	return err
}

// A stdioAddr is the address of a pipeConn.
type stdioAddr struct{}

func (stdioAddr) Network() string { return "pipe" }
func (stdioAddr) String() string  { return "stdio" }
