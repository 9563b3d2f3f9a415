package feed

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// accept listens on an address of this machine, and says from which address a connection to it came.
func accept(t *testing.T, address string) (at netip.AddrPort, from func() netip.Addr) {
	l, err := net.Listen("tcp", address)
	require.NoError(t, err, "somebody listens")
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort(), func() netip.Addr {
		c, err := l.Accept()
		require.NoError(t, err, "a connection comes")
		defer c.Close()
		return c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	}
}

func TestConnectionsComeFromTheSource(t *testing.T) {
	at, from := accept(t, "127.0.0.1:0")
	at6, from6 := accept(t, "[::1]:0")
	here := netip.MustParseAddr("127.0.0.9")
	dial := dialerFrom([]netip.Addr{here})
	c, err := dial(t.Context(), at)
	require.NoError(t, err, "the host is reached")
	defer c.Close()
	assert.Equal(t, here, from(), "by its family's source")
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err, "the connection has a descriptor")
	late := 0
	require.NoError(t, raw.Control(func(fd uintptr) { late, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, 24) }), "which can be looked at")
	require.NoError(t, err, "and knows IP_BIND_ADDRESS_NO_PORT")
	assert.Equal(t, 1, late, "a port is shared by connections to different hosts")

	c, err = dial(t.Context(), at6)
	require.NoError(t, err, "a family without a source is the system's affair")
	defer c.Close()
	assert.Equal(t, netip.MustParseAddr("::1"), from6(), "which chooses")

	nowhere := dialerFrom([]netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")})
	for _, to := range []string{"192.0.2.1:25", "[2001:db8::1]:25"} {
		_, err = nowhere(t.Context(), netip.MustParseAddrPort(to))
		assert.True(t, isUnbound(err), "an address that this machine does not have is told from all else: %v", err)
	}
	c, err = nowhere(t.Context(), at)
	require.NoError(t, err, "a relay on this machine does not want it")
	defer c.Close()
	assert.Equal(t, netip.MustParseAddr("127.0.0.1"), from(), "and sees one of this machine")
	_, err = dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"))
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "the host refuses")
	assert.False(t, isUnbound(err), "and that is another matter")
}
