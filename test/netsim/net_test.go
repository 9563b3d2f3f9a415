package netsim_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

var mx = netip.MustParseAddrPort("192.0.2.1:25")

const lag = 10 * time.Millisecond // one way, in most tests

// pair returns both ends of a connection over a link, once the server has accepted.
func pair(t *testing.T, n *netsim.Net, link netsim.Link) (client, server *netsim.Conn) {
	t.Helper()
	n.Host(mx.Addr(), link)
	l, err := n.Listen(mx)
	require.NoError(t, err, "a free address can be listened on")
	c, err := n.Dial(t.Context(), mx)
	require.NoError(t, err, "a listener can be dialled")
	s, err := l.Accept()
	require.NoError(t, err, "a dialled connection is accepted")
	t.Cleanup(func() { l.Close() })
	return c.(*netsim.Conn), s.(*netsim.Conn)
}

func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	require.NoError(t, err, "what was written can be read")
	return string(b)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err, "an open connection can be written to")
}

func TestHandshakeTakesARoundTripAndAcceptHalfMore(t *testing.T) { synctest.Test(t, testHandshake) }
func testHandshake(t *testing.T) {
	n, start := netsim.New(), time.Now()
	n.Default(netsim.Link{Latency: lag})
	l, err := n.Listen(mx)
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan time.Duration, 1) // from the accepting goroutine, once
	go func() {
		c, err := l.Accept()
		accepted <- time.Since(start)
		if err == nil {
			io.WriteString(c, "220 hi\r\n")
			c.Close()
		}
	}()
	c, err := n.Dial(t.Context(), mx)
	require.NoError(t, err)
	defer c.Close()
	assert.Equal(t, 2*lag, time.Since(start), "Dial returns after one round trip")
	assert.Equal(t, "220 hi\r\n", read(t, c, 8))
	assert.Equal(t, 4*lag, time.Since(start), "the greeting is there after two round trips")
	assert.Equal(t, 3*lag, <-accepted, "Accept returns with the third packet")
	assert.Equal(t, &net.TCPAddr{IP: mx.Addr().AsSlice(), Port: 25}, c.RemoteAddr(), "the remote address is the dialled one")
	assert.Equal(t, netsim.DefaultSource.String(), c.LocalAddr().(*net.TCPAddr).IP.String(), "the local address is the default source")
	assert.Equal(t, map[netip.AddrPort]int{mx: 1}, n.Dials(), "the dial is counted")
}

func TestDialFailures(t *testing.T) {
	for name, c := range map[string]struct {
		link netsim.Link
		want error
		took time.Duration
	}{
		"nobody listens":           {netsim.Link{Latency: lag}, syscall.ECONNREFUSED, 2 * lag},
		"a refusing host":          {netsim.Link{Latency: lag, Refuse: true}, syscall.ECONNREFUSED, 2 * lag},
		"an unreachable host":      {netsim.Link{Latency: lag, Unreachable: true}, syscall.EHOSTUNREACH, 2 * lag},
		"a black hole":             {netsim.Link{Latency: lag, BlackHole: true}, context.DeadlineExceeded, time.Minute},
		"a host too far away":      {netsim.Link{Latency: time.Hour}, context.DeadlineExceeded, time.Minute},
		"no descriptors left here": {netsim.Link{Latency: lag, DialError: syscall.EMFILE}, syscall.EMFILE, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, start := netsim.New(), time.Now()
				n.Host(mx.Addr(), c.link)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := n.Dial(ctx, mx)
				assert.ErrorIs(t, err, c.want, "the error tells what happened")
				var op *net.OpError
				require.ErrorAs(t, err, &op, "dial errors look as package net's do")
				assert.Equal(t, c.want == context.DeadlineExceeded, op.Timeout(), "only the context's end is a timeout")
				assert.Equal(t, c.took, time.Since(start), "the error comes when the packet would")
				assert.Equal(t, 0, n.Open(), "a failed dial leaves nothing open")
				assert.Equal(t, 1, n.Dials()[mx], "a failed dial is counted")
			})
		})
	}
}

func TestDialIsCancelled(t *testing.T) { synctest.Test(t, testDialIsCancelled) }
func testDialIsCancelled(t *testing.T) {
	n := netsim.New()
	n.Default(netsim.Link{BlackHole: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	_, err := n.Dial(ctx, mx)
	require.ErrorIs(t, err, context.Canceled, "a cancelled dial says so")
	_, err = n.Dial(ctx, mx)
	require.ErrorIs(t, err, context.Canceled, "a dial with a dead context fails at once")
}

func TestBlackHoleThatComesBackIsDialled(t *testing.T) { synctest.Test(t, testBlackHoleComesBack) }
func testBlackHoleComesBack(t *testing.T) {
	n, start := netsim.New(), time.Now()
	n.Host(mx.Addr(), netsim.Link{BlackHole: true})
	l, err := n.Listen(mx)
	require.NoError(t, err)
	defer l.Close()
	time.AfterFunc(time.Second, func() { n.Host(mx.Addr(), netsim.Link{Latency: lag}) })
	c, err := n.Dial(t.Context(), mx)
	require.NoError(t, err, "a repeated SYN gets through")
	c.Close()
	assert.Equal(t, time.Second+2*lag, time.Since(start), "one round trip after the link came back")
}

func TestListen(t *testing.T) { synctest.Test(t, testListen) }
func testListen(t *testing.T) {
	n := netsim.New()
	l, err := n.Listen(mx)
	require.NoError(t, err)
	_, err = n.Listen(mx)
	assert.ErrorIs(t, err, syscall.EADDRINUSE, "an address is listened on once")
	any, err := n.Listen(netip.AddrPortFrom(mx.Addr(), 0))
	require.NoError(t, err)
	assert.NotZero(t, any.Addr().(*net.TCPAddr).Port, "port 0 gives a port away")
	require.NoError(t, any.Close())

	c, err := n.Dial(t.Context(), mx)
	require.NoError(t, err)
	time.AfterFunc(time.Second, func() { l.Close() })
	queued, err := l.Accept()
	require.NoError(t, err)
	queued.Close()
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed, "Close ends a waiting Accept")
	assert.ErrorIs(t, l.Close(), net.ErrClosed, "a second Close says so")
	c.Close()
	again, err := n.Listen(mx)
	require.NoError(t, err, "a closed listener frees its address")
	again.Close()
}

func TestClosedListenerResetsWhatNobodyAccepted(t *testing.T) { synctest.Test(t, testUnaccepted) }
func testUnaccepted(t *testing.T) {
	n := netsim.New()
	n.Default(netsim.Link{Latency: lag})
	l, err := n.Listen(mx)
	require.NoError(t, err)
	early, err := n.Dial(t.Context(), mx)
	require.NoError(t, err)
	time.Sleep(lag)
	late, err := n.Dial(t.Context(), mx)
	require.NoError(t, err)
	l.Close()
	for _, c := range []net.Conn{early, late} {
		_, err = c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET, "a connection in the queue is reset")
		c.Close()
	}
	assert.Equal(t, 0, n.Open(), "nothing stays open")
}

func TestCutHoldsBackWhatWasSentUntilHeal(t *testing.T) { synctest.Test(t, testCut) }
func testCut(t *testing.T) {
	for _, who := range [][]netip.Addr{nil, {mx.Addr()}} {
		n := netsim.New()
		c, s := pair(t, n, netsim.Link{Latency: lag})
		write(t, c, "before ")
		time.Sleep(2 * lag)
		n.Cut(who...)
		write(t, c, "during ")
		write(t, c, "cut")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := n.Dial(ctx, mx)
		cancel()
		assert.ErrorIs(t, err, context.DeadlineExceeded, "a dial does not cross a cut")
		assert.Equal(t, "before ", read(t, s, 7), "what had arrived can be read")
		s.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = s.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "nothing crosses a cut")
		s.SetReadDeadline(time.Time{})

		n.Heal(who...)
		healed := time.Now()
		assert.Equal(t, "during cut", read(t, s, 10), "what was sent arrives in order after the cut")
		assert.Equal(t, lag, time.Since(healed), "one latency after Heal")
		c.Close()
		s.Close()
		n.Host(mx.Addr(), netsim.Link{})
	}
}

func TestCutOfOneHostLeavesTheOthers(t *testing.T) { synctest.Test(t, testCutOfOneHost) }
func testCutOfOneHost(t *testing.T) {
	n := netsim.New()
	c, s := pair(t, n, netsim.Link{Latency: lag})
	n.Cut(netip.MustParseAddr("192.0.2.77"))
	write(t, s, "220 hi\r\n")
	assert.Equal(t, "220 hi\r\n", read(t, c, 8), "another host's link is whole")
	c.Close()
	s.Close()
}

func TestWorksOutsideABubble(t *testing.T) {
	n := netsim.New()
	n.Default(netsim.Link{Latency: time.Millisecond})
	l, err := n.Listen(mx)
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.Copy(c, c)
		c.Close()
	}()
	c, err := n.Dial(t.Context(), mx)
	require.NoError(t, err)
	write(t, c, "echo")
	assert.Equal(t, "echo", read(t, c, 4), "real time works as well")
	c.(*netsim.Conn).CloseWrite()
	_, err = c.Read(make([]byte, 1))
	assert.True(t, errors.Is(err, io.EOF), "the echo ends with our end")
	c.Close()
}
