package killloop

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/feedd"
)

const (
	domains        = 40
	recorders      = 2
	hostsEach      = 4 // of a recorder
	mailDomain     = "killloop.example"
	rtt            = 10 * time.Millisecond
	processing     = 15 * time.Millisecond // of the quickest host; the slowest takes four times as long
	perTransaction = 5                     // recipients at most, so that there are many transactions
)

// A world is the recorders and a DNS server that knows them. Each domain has two mail hosts, in different recorders.
type world struct {
	dns       *dnssim.Server
	port      int
	recorders []*recorderProcess
	hub       *hub
}

func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{hub: newHub()}
	answer, err := dnssim.Zone(zone())
	require.NoError(t, err, "the zone is one")
	w.dns, err = dnssim.Listen("127.0.0.1:0", answer)
	require.NoError(t, err, "the DNS server starts")
	t.Cleanup(func() { assert.NoError(t, w.dns.Close(), "the DNS server ends") })
	w.port = unusedPort(t)
	dir := feedd.NewDir(t, "recorders-")
	for i := range recorders {
		r := &recorderProcess{letter: string(rune('a' + i)), file: filepath.Join(dir, strconv.Itoa(i)), slow: processing, hub: w.hub}
		for j := range hostsEach {
			r.hosts = append(r.hosts, net.JoinHostPort(hostAddr(i*hostsEach+j), strconv.Itoa(w.port)))
		}
		w.recorders = append(w.recorders, r)
		r.start(t)
		t.Cleanup(func() { r.end(t) })
	}
	return w
}

// DNSAddr and Port make it a feedd.World.
func (w *world) DNSAddr() string { return w.dns.Addr() }
func (w *world) Port() int       { return w.port }

// hostAddr is mail host j's.
func hostAddr(j int) string { return fmt.Sprintf("127.88.%d.%d", 1+j/hostsEach, 1+j%hostsEach) }

// zone has the domains, and the one of the senders, where nothing may arrive.
func zone() string {
	const all = recorders * hostsEach
	var b strings.Builder
	b.WriteString("$ORIGIN " + mailDomain + ".\n@ SOA ns hostmaster 1 3600 600 86400 300\n")
	for i := range domains {
		fmt.Fprintf(&b, "d%d MX 10 mx%d\nd%d MX 20 mx%d\n", i, i%all, i, (i+hostsEach)%all)
	}
	b.WriteString("lists MX 10 mx0\n")
	for j := range all {
		fmt.Fprintf(&b, "mx%d A %s\n", j, hostAddr(j))
	}
	return b.String()
}

// unusedPort is one on which nobody listens at any mail host's address.
func unusedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.88.0.1:0")
	require.NoError(t, err, "there is a free port")
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port // these addresses are nobody else's
}

// recipient is the i-th of a round's mail.
func recipient(i int) string { return fmt.Sprintf("u%d@d%d.%s", i, i%domains, mailDomain) }
