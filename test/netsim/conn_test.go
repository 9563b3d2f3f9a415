package netsim_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

func TestConn(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, n *netsim.Net){
		"octets take one latency and are coalesced":           testLatency,
		"a writer blocks when the window is full":             testWindow,
		"throughput is one window a round trip":               testThroughput,
		"FIN is read as EOF behind the data":                  testFin,
		"the other direction goes on after CloseWrite":        testHalfClose,
		"a reset fails reads and writes with ECONNRESET":      testReset,
		"SetLinger(0) makes Close a reset":                    testLinger,
		"a reset wakes a blocked writer":                      testResetWakesWriter,
		"closing on unread octets resets":                     testCloseUnread,
		"octets for a closed end bring EPIPE behind its FIN":  testWriteAfterFin,
		"deadlines end reads and writes and can be moved":     testDeadlines,
		"own Close ends own blocked calls":                    testOwnClose,
		"StallAfter swallows what is beyond":                  testStallAfter,
		"ResetAfter resets":                                   testResetAfter,
		"Open counts both ends":                               testOpen,
		"a fin that crosses a fin leaves nothing":             testCrossingFins,
		"the window of one direction does not hold the other": testFullDuplex,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, netsim.New()) })
		})
	}
}

func closeBoth(c ...net.Conn) {
	for _, c := range c {
		c.Close()
	}
}

func testLatency(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	defer closeBoth(c, s)
	start := time.Now()
	write(t, c, "MAIL")
	write(t, c, "RCPT")
	assert.Zero(t, time.Since(start), "a write into the window does not wait")
	assert.Equal(t, "M", read(t, s, 1), "octets arrive")
	assert.Equal(t, lag, time.Since(start), "one latency later")
	synctest.Wait()
	b := make([]byte, 100)
	k, err := s.Read(b)
	require.NoError(t, err)
	assert.Equal(t, "AILRCPT", string(b[:k]), "one read gets all there is")
}

func testWindow(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, Window: 1000})
	defer closeBoth(c, s)
	start := time.Now()
	done := make(chan time.Duration, 1) // from the writer, once
	go func() {
		c.Write(make([]byte, 1500))
		done <- time.Since(start)
	}()
	time.Sleep(time.Second)
	synctest.Wait()
	assert.Empty(t, done, "a writer beyond the window waits")
	read(t, s, 1000)
	assert.Equal(t, time.Second+lag, <-done, "room comes one latency after the reader took the octets")
	read(t, s, 500)
}

func testThroughput(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, Window: 1000})
	defer closeBoth(c, s)
	want := bytes.Repeat([]byte("0123456789"), 1000)
	start := time.Now()
	go func() {
		c.Write(want)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	assert.Equal(t, want, got, "ten windows arrive whole")
	assert.Equal(t, 19*lag, time.Since(start), "nine round trips for acknowledgements, and the last way")
}

func testFin(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	write(t, s, "221 Bye\r\n")
	s.Close()
	got, err := io.ReadAll(c)
	require.NoError(t, err, "a FIN is no error")
	assert.Equal(t, "221 Bye\r\n", string(got), "the data comes before the end")
	_, err = c.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, "EOF stays, and is not wrapped")
	c.Close()
}

func testHalfClose(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	defer closeBoth(c, s)
	require.NoError(t, c.CloseWrite())
	_, err := c.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE, "nothing is written after CloseWrite")
	_, err = s.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, "the peer sees the end")
	write(t, s, "still here")
	assert.Equal(t, "still here", read(t, c, 10), "and can go on")
}

func testReset(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	write(t, s, "421 gone\r\n")
	require.NoError(t, s.Reset())
	write(t, c, "not known here yet")
	assert.Equal(t, "421 gone\r\n", read(t, c, 10), "what arrived before the reset can be read")
	_, err := c.Read(make([]byte, 1))
	var op *net.OpError
	require.ErrorAs(t, err, &op, "the error looks as package net's does")
	assert.ErrorIs(t, err, syscall.ECONNRESET, "a read says reset")
	_, err = c.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.ECONNRESET, "a write says reset")
	_, err = s.Write([]byte("x"))
	assert.ErrorIs(t, err, net.ErrClosed, "the end that reset is closed")
	c.Close()
}

func testLinger(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	require.NoError(t, s.SetLinger(0))
	s.Close()
	_, err := c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET, "no lingering is a reset")
	c.Close()
}

func testResetWakesWriter(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, Window: 10})
	start := time.Now()
	time.AfterFunc(time.Second, func() { s.Reset() })
	k, err := c.Write(make([]byte, 20))
	assert.ErrorIs(t, err, syscall.ECONNRESET, "a blocked write ends with the reset")
	assert.Equal(t, 10, k, "and says how much it had sent")
	assert.Equal(t, time.Second+lag, time.Since(start), "one latency later")
	c.Close()
}

func testCloseUnread(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	write(t, c, "MAIL FROM:<>\r\n")
	time.Sleep(lag)
	synctest.Wait()
	s.Close()
	_, err := c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET, "unread octets turn FIN into RST")
	c.Close()
}

func testWriteAfterFin(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	s.Close()
	_, err := c.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "the FIN arrives")
	write(t, c, "too late") // the first write after a FIN succeeds, as over TCP
	time.Sleep(2 * lag)
	synctest.Wait()
	_, err = c.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE, "the next write knows")
	_, err = c.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, "reads remember the FIN")
	c.Close()
}

func testDeadlines(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, Window: 10})
	defer closeBoth(c, s)
	start := time.Now()
	require.NoError(t, c.SetReadDeadline(start.Add(time.Second)))
	_, err := c.Read(make([]byte, 1))
	var nerr net.Error
	require.ErrorAs(t, err, &nerr)
	assert.True(t, nerr.Timeout(), "a deadline is a timeout")
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "as in package net")
	assert.Equal(t, time.Second, time.Since(start), "it comes in fake time")

	c.SetWriteDeadline(time.Now().Add(time.Second))
	k, err := c.Write(make([]byte, 11))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "a full window runs into the write deadline")
	assert.Equal(t, 10, k, "a partial write says how much")

	time.AfterFunc(time.Second, func() { c.SetDeadline(time.Unix(1, 0)) })
	c.SetDeadline(time.Time{})
	moved := time.Now()
	_, err = c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "a deadline set later reaches a blocked read")
	assert.Equal(t, time.Second, time.Since(moved))

	c.SetDeadline(time.Time{})
	write(t, s, "x")
	assert.Equal(t, "x", read(t, c, 1), "a cleared deadline is none")
}

func testOwnClose(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	time.AfterFunc(time.Second, func() { c.Close() })
	_, err := c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed, "a blocked read ends with our own Close")
	assert.ErrorIs(t, c.Close(), net.ErrClosed, "a second Close says so")
	assert.ErrorIs(t, c.SetDeadline(time.Time{}), net.ErrClosed, "a closed connection takes no deadline")
	s.Close()
}

func testStallAfter(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, StallAfter: 5})
	defer closeBoth(c, s)
	write(t, c, "EHLO")
	write(t, c, "large")
	assert.Equal(t, "EHLOl", read(t, s, 5), "what fits arrives")
	s.SetReadDeadline(time.Now().Add(time.Hour))
	_, err := s.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "the rest never does")
	write(t, s, "250")
	assert.Equal(t, "250", read(t, c, 3), "the way back works")
}

func testResetAfter(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, ResetAfter: 5})
	write(t, c, "EHLO mx\r\n")
	_, err := c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET, "the host resets")
	_, err = s.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed, "its end is gone")
	c.Close()
	assert.Equal(t, 0, n.Open(), "nothing stays open")
}

func testOpen(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{})
	assert.Equal(t, 2, n.Open(), "both ends are open")
	c.Close()
	assert.Equal(t, 1, n.Open(), "the other end has to close as well")
	s.Reset()
	assert.Equal(t, 0, n.Open(), "Reset closes")
}

func testCrossingFins(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag})
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())
	time.Sleep(time.Second)
	assert.Equal(t, 0, n.Open(), "nothing stays open")
}

func testFullDuplex(t *testing.T, n *netsim.Net) {
	c, s := pair(t, n, netsim.Link{Latency: lag, Window: 10})
	blocked := make(chan struct{}) // closed by the writer when it gave up
	go func() {
		c.Write(make([]byte, 100))
		close(blocked)
	}()
	synctest.Wait()
	write(t, s, "0123456789")
	assert.Equal(t, "0123456789", read(t, c, 10), "a full direction does not hold the other")
	closeBoth(c, s)
	<-blocked
}
