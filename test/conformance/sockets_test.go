package conformance

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A sockets world is one of real sockets on 127.0.0.0/8, in which many rows are played at once.
type sockets struct {
	smtp  int // the port of all exchangers
	dns   *dnssim.Server
	gates bool
	speed time.Duration // by how much times of rows are divided

	mu   sync.Mutex
	rows map[string]dnssim.Handler // by label
}

// newSockets makes a world whose DNS server is at an address.
func newSockets(t *testing.T, dnsAddr string) *sockets {
	t.Helper()
	w := &sockets{gates: true, speed: 1, rows: map[string]dnssim.Handler{}}
	l, err := net.Listen("tcp", "127.60.0.1:0")
	require.NoError(t, err, "there are addresses for exchangers")
	w.smtp = l.Addr().(*net.TCPAddr).Port // rows have other addresses: nobody has the port there
	t.Cleanup(func() { l.Close() })       // while it is taken here, nobody gets it for every address of the machine
	w.dns, err = dnssim.Listen(dnsAddr, w.answer)
	require.NoError(t, err, "there is a DNS server")
	t.Cleanup(func() { w.dns.Close() })
	return w
}

func (w *sockets) answer(q dns.Question, tcp bool) dnssim.Answer {
	w.mu.Lock()
	h := w.rows[labelOf(q.Name)]
	w.mu.Unlock()
	if h == nil {
		return dnssim.Answer{RCode: dns.RcodeNameError}
	}
	return h(q, tcp)
}

func (w *sockets) serve(n names, h dnssim.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows[n.label] = h
}

// receiveBuffer is small, so that a client notices soon that an exchanger does not read; but larger than a segment of the
// loopback interface, or Linux would send by its persist timer.
const receiveBuffer = 128 << 10

func (w *sockets) listen(addr netip.Addr) (net.Listener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		control := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
		})
		if control != nil {
			return control
		}
		return err
	}}
	return c.Listen(context.Background(), "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(w.smtp)))
}

func (w *sockets) listenHTTPS(addr netip.Addr) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(addr.String(), "443"))
}

func (w *sockets) port() int                            { return w.smtp }
func (w *sockets) scaled(d time.Duration) time.Duration { return d / w.speed }
func (w *sockets) gated() bool                          { return w.gates }

// large is more than Linux lets a socket's send buffer grow to (net.ipv4.tcp_wmem: 4 MiB).
func (w *sockets) large() int { return 6 << 20 }

func (w *sockets) tick() { <-time.After(5 * time.Millisecond) }
