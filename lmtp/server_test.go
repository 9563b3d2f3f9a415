package lmtp

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A scripted listener returns these, one after the other.
type scripted struct {
	results []any // net.Conn or error
}

func (l *scripted) Accept() (net.Conn, error) {
	next := l.results[0]
	l.results = l.results[1:]
	if err, ok := next.(error); ok {
		return nil, err
	}
	return next.(net.Conn), nil
}

func (l *scripted) Close() error   { return nil }
func (l *scripted) Addr() net.Addr { return &net.UnixAddr{Name: "scripted", Net: "unix"} }

// OPS-04: without a descriptor left, the hosts wait in the listener's queue and are not refused.
func TestServeOutlivesMissingDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := net.Pipe()
		defer theirs.Close()
		broken := errors.New("broken")
		full := &net.OpError{Op: "accept", Err: syscall.EMFILE}
		s := New(Config{Mailer: newMailer()})
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- s.Serve(&scripted{[]any{full, full, full, ours, full, broken}}) }()
		newHost(t, theirs).expect("220 localhost ")
		err := <-done
		assert.ErrorIs(t, err, broken, "an error that stays ends Serve")
		assert.Contains(t, err.Error(), "accept on scripted", "and says where")
		assert.Equal(t, 40*time.Millisecond, time.Since(began), "the wait grows from 5 ms, and begins again after a success")
		s.Close()
	})
}

func TestCloseEndsServeThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &net.OpError{Op: "accept", Err: syscall.ENFILE}
		s := New(Config{Mailer: newMailer()})
		done := make(chan error, 1)
		go func() { done <- s.Serve(&scripted{[]any{full, full}}) }()
		synctest.Wait()
		s.Close()
		assert.NoError(t, <-done, "Serve returns nil after Close")
		assert.NoError(t, s.Serve(&scripted{}), "and at once from then on")
	})
}

func TestServeConnTellsWhatBroke(t *testing.T) {
	s := New(Config{Mailer: newMailer()})
	theirs, ours := pair(t)
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(ours) }()
	h := newHost(t, theirs).hello()
	require.NoError(t, theirs.(*net.TCPConn).SetLinger(0), "the close will be a reset")
	h.conn.Close()
	assert.ErrorIs(t, <-done, syscall.ECONNRESET, "a reset is an error")
}

// Contents never reach the log; a broken connection is no alarm.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	f.mailer.onSend = deliverAll
	h := f.host()
	h.envelope("a@x.example")
	h.content("Received: by h id Q7; now", "", "secret")
	h.expect("250 ")
	h.conn.Close()
	f.server.Drain(t.Context())
	text := log.String()
	assert.Contains(t, text, "queue_id=Q7", "the host's queue id is in it")
	assert.Contains(t, text, "delivered=1 deferred=0 failed=0", "what became of the recipients is in it")
	assert.NotContains(t, text, "secret", "the content is not")
	assert.NotContains(t, text, "level=ERROR", "nobody must act")
}

func TestErrorLog(t *testing.T) {
	var log bytes.Buffer
	l := errorLog{slog.New(slog.NewTextHandler(&log, nil))}
	l.Printf("panic serving %v", "x")
	l.Printf("error handling %v", "y")
	l.Println("z")
	assert.Contains(t, log.String(), "level=ERROR msg=\"lmtp: panic serving x\"", "a panic inside of go-smtp is for the operator")
	assert.NotContains(t, log.String(), "handling y", "a broken connection is for debugging")
}

// As for `smtpfeed stdio`: the connection comes as a file descriptor.
func TestServeConnOnASocketPair(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err, "a socket pair can be had")
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "stdio")
		ends[i], err = net.FileConn(file)
		require.NoError(t, err, "its ends are connections")
		file.Close()
	}
	m := newMailer()
	s := New(Config{Mailer: m})
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(ends[1]) }()
	h := newHost(t, ends[0]).hello()
	h.envelope("a@x.example")
	h.content("text")
	e := <-m.sent
	h.conn.Close() // sendmail is killed
	assert.Same(t, e, <-m.cancelled, "that the host left is seen here too")
	deliverAll(e)
	assert.ErrorIs(t, <-done, syscall.EPIPE, "the reply could not be written")
}
