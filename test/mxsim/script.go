package mxsim

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A Script is what a server does on one connection, in the order of the wire.
type Script []Step

// A Step is one thing a scripted server does or expects; the functions of this package make them.
type Step struct {
	name string // as it would be written in the script, for errors
	run  func(*peer) error
}

// String is the step as written in a script.
func (s Step) String() string { return s.name }

// A Result is what came of one connection.
type Result struct {
	Err    error    // nil, or a *ScriptError
	Read   []byte   // all octets that the client sent, message bodies too
	Lines  []string // the commands among them, without CRLF
	Bodies [][]byte // what each ReadBody or ReadBDAT took, as on the wire, without the end of data
	Steps  int      // how many steps were finished

	Hellos []ClientHello         // those that ReadHello and RefuseHello read
	TLS    []tls.ConnectionState // after each handshake
}

// A ScriptError says at which step the client left the script.
type ScriptError struct {
	Step int    // index in the script
	Name string // the step as written
	Got  string // what came instead; empty when nothing did
	Err  error  // why nothing more came; nil when Got is wrong
}

// Error is `mxsim: step 2, Expect("MAIL "): got "RSET"`.
func (e *ScriptError) Error() string {
	s := fmt.Sprintf("mxsim: step %d, %s:", e.Step, e.Name)
	if e.Got != "" || e.Err == nil {
		s += fmt.Sprintf(" got %q", e.Got)
	}
	if e.Err != nil {
		s += fmt.Sprintf(" %v", e.Err)
	}
	return s
}

// Unwrap is the reason why nothing more came.
func (e *ScriptError) Unwrap() error { return e.Err }

// errUnexpected carries what came instead of what a step expects.
type errUnexpected struct {
	got string
	err error
}

func (e *errUnexpected) Error() string { return fmt.Sprintf("got %q: %v", e.got, e.err) }

// Run plays the script on a connection, up to the first step that fails, and closes the connection.
func (s Script) Run(c net.Conn) Result {
	p := newPeer(c, make(chan struct{}))
	return s.play(p)
}

func (s Script) play(p *peer) Result {
	defer p.conn.Close()
	for i, step := range s {
		err := step.run(p)
		if err != nil && !errors.Is(err, errEnough) {
			p.result.Err = scriptError(i, step, err)
			break
		}
		p.result.Steps++
		if err != nil {
			break
		}
	}
	return p.result
}

func scriptError(i int, s Step, err error) *ScriptError {
	e := &ScriptError{Step: i, Name: s.name, Err: err}
	var unexpected *errUnexpected
	if errors.As(err, &unexpected) {
		e.Got, e.Err = unexpected.got, unexpected.err
	}
	return e
}

// A peer is the state of a script being played.
type peer struct {
	conn   net.Conn // as the client sees it: TLS after StartTLS
	raw    net.Conn // what was accepted
	under  net.Conn // what a handshake reads and writes: raw, perhaps with octets that are read again
	in     *bufio.Reader
	stop   <-chan struct{} // closed when the test is over: StopReading ends
	chunks []byte          // what ReadBDAT took of a body whose LAST has not come
	result Result
}

func newPeer(c net.Conn, stop <-chan struct{}) *peer {
	p := &peer{raw: c, under: c, stop: stop}
	p.use(c)
	return p
}

// use makes c the connection that is read from and written to.
func (p *peer) use(c net.Conn) {
	p.conn = c
	p.in = bufio.NewReader(io.TeeReader(c, (*recorder)(&p.result)))
}

// A recorder keeps what is read in Result.Read.
type recorder Result

func (r *recorder) Write(b []byte) (int, error) {
	r.Read = append(r.Read, b...)
	return len(b), nil
}

// line reads one command line; it comes without its line end, which must be CRLF.
func (p *peer) line() (string, error) {
	b, err := p.in.ReadString('\n')
	if err != nil {
		return "", &errUnexpected{b, err}
	}
	if len(b) < 2 || b[len(b)-2] != '\r' {
		return "", &errUnexpected{b, nil} // RFC 5321 section 2.3.8: lines end in CRLF and nothing else
	}
	b = b[:len(b)-2]
	p.result.Lines = append(p.result.Lines, b)
	return b, nil
}

func (p *peer) write(text string) error {
	_, err := io.WriteString(p.conn, text)
	return err
}

// pause waits for d, or until the test is over.
func (p *peer) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.stop:
		return net.ErrClosed
	}
}
