package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNotRegular says that the path names a directory or a pipe; opening a pipe nobody reads would block.
var errNotRegular = errors.New("is not a file")

// A diskFile is a record file as the system has it: mostly a file on disk, perhaps a terminal or standard output, whatever that is.
type diskFile struct {
	*os.File
	regular bool
	shared  bool  // standard output: not ours to close, and what it is cannot be opened again
	left    int64 // size of a regular file as we left it; -1 before the first look
}

// openRecordFile opens what path names.
func openRecordFile(path string) (recordFile, error) {
	if path == "-" {
		return &diskFile{File: os.Stdout, shared: true}, nil
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil, fmt.Errorf("delivery records: %s %w; set log.deliveries to a file", path, errNotRegular)
	}
	// Addresses are personal data: readable for the group of the file, for nobody else. Reading is for look only.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
	if errors.Is(err, fs.ErrPermission) {
		file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery records: %w; make its directory writable for the user smtpfeed runs as, or set log.deliveries", err)
	}
	f := &diskFile{File: file, left: -1}
	if info, err := file.Stat(); err == nil {
		f.regular = info.Mode().IsRegular()
	}
	return f, nil
}

// look reads the last octet when somebody else has written: a process that died, or that met a full disk, may have left half a line.
func (f *diskFile) look() (end fileEnd, gone bool) {
	if !f.regular {
		return endOurs, false
	}
	var st unix.Stat_t
	if err := f.control(func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return endOurs, errors.Is(err, unix.ESTALE) // of a network file system: removed at the other end
	}
	switch {
	case st.Nlink == 0:
		return endOurs, true
	case st.Size == f.left:
		return endOurs, false
	case st.Size == 0:
		return endLine, false
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], st.Size-1); err != nil {
		return endOurs, false // no right to read
	}
	if last[0] == '\n' {
		return endLine, false
	}
	return endInside, false
}

// Write appends text. Another process that shares our standard output may have made it non-blocking, for us too: then waiting is ours.
func (f *diskFile) Write(text []byte) (n int, err error) {
	for {
		var k int
		k, err = f.File.Write(text[n:])
		n += k
		if !errors.Is(err, syscall.EAGAIN) {
			break
		}
		f.awaitRoom()
	}
	if f.regular {
		if info, err := f.Stat(); err == nil {
			f.left = info.Size()
		}
	}
	return n, err
}

// roomWait is how long is waited for room before the write is tried again, in milliseconds.
const roomWait = 1000

// awaitRoom waits until something can be written, or an error be had.
func (f *diskFile) awaitRoom() {
	_ = f.control(func(fd int) error {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, roomWait)
		return err
	})
}

// control does something with the descriptor. Fd would not do: it makes the file blocking, for everybody who shares it.
func (f *diskFile) control(do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// keep is true for a full disk, which this file has in common with every other there, and for standard output.
func (f *diskFile) keep(err error) bool {
	return f.shared || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Close closes what is ours.
func (f *diskFile) Close() error {
	if f.shared {
		return nil
	}
	return f.File.Close()
}
