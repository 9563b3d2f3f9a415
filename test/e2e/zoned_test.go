package e2e

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A zoned is a world for smtpfeed in which names are those of a zone file, and each mail host is the test's own. All mail hosts have
// the port of the first.
type zoned struct {
	dns  string // "IP:PORT"
	port int
}

// DNSAddr is where the DNS server is.
func (z zoned) DNSAddr() string { return z.dns }

// Port is that of the mail hosts.
func (z zoned) Port() int { return z.port }

// startZoned makes a world of a zone file's text; addr is any mail host's.
func startZoned(t *testing.T, addr, zone string) zoned {
	t.Helper()
	answer, err := dnssim.Zone(zone)
	require.NoError(t, err, "the zone can be read")
	s, err := dnssim.Listen("127.0.0.1:0", answer)
	require.NoError(t, err, "there is a DNS server")
	t.Cleanup(func() { s.Close() })
	return zoned{s.Addr(), portOf(t, addr)}
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	require.NoError(t, err, "%q is an address with a port", addr)
	port, err := strconv.Atoi(text)
	require.NoError(t, err, "%q has a number for its port", addr)
	return port
}
