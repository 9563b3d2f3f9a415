package dnssim

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServer(t *testing.T) {
	h, err := Zone(testZone)
	require.NoError(t, err, "the zone should be read")
	s, err := Listen("127.0.0.1:0", h)
	require.NoError(t, err, "the server should start")
	defer s.Close()
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: time.Minute}
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion("A.example.", dns.TypeMX), s.Addr())
		require.NoError(t, err, "%s should be answered", network)
		assert.Len(t, m.Answer, 2, "with the zone's records")
	}
	assert.Equal(t, map[uint16]int{dns.TypeMX: 2}, s.Queries(), "questions should be counted by type")
	assert.Equal(t, 2, s.Asked("a.EXAMPLE", dns.TypeMX), "and by name")
	require.NoError(t, s.Close(), "the server should close")
	assert.NoError(t, s.Close(), "closing twice should do no harm")
}

func TestServerDelays(t *testing.T) {
	h := func(q dns.Question, _ bool) Answer {
		a := Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
		if q.Name == "slow.example." {
			a.Delay = 40 * time.Millisecond
		}
		return a
	}
	s, err := Start(Config{Addr: "127.0.0.1:0", Handler: h, Delay: 20 * time.Millisecond})
	require.NoError(t, err, "the server should start")
	defer s.Close()
	start := time.Now()
	conn, err := net.Dial("udp", s.Addr())
	require.NoError(t, err, "the server should be reached")
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(start.Add(time.Minute)), "a deadline should be set")
	for _, name := range []string{"slow.example.", "fast.example."} {
		wire, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
		require.NoError(t, err, "the question should be packed")
		_, err = conn.Write(wire)
		require.NoError(t, err, "the question should be sent")
	}
	waits := map[string]time.Duration{"fast.example.": 20 * time.Millisecond, "slow.example.": 60 * time.Millisecond}
	for len(waits) > 0 { // which is first depends on when the questions were read, see TestDelayer
		buf := make([]byte, 512)
		n, err := conn.Read(buf)
		require.NoError(t, err, "an answer should come")
		m := new(dns.Msg)
		require.NoError(t, m.Unpack(buf[:n]), "and be one")
		name := m.Question[0].Name
		require.Contains(t, waits, name, "each question should be answered once")
		assert.GreaterOrEqual(t, time.Since(start), waits[name], "and no answer come before its delay")
		delete(waits, name)
	}
}

func TestNetwork(t *testing.T) { synctest.Test(t, testNetwork) }
func testNetwork(t *testing.T) {
	zone, err := Zone(testZone)
	require.NoError(t, err, "the zone should be read")
	var n Network
	h := &Host{Handler: zone, Latency: 30 * time.Millisecond, Lose: func(n int) bool { return n == 0 }}
	n.Add("192.0.2.53:53", h)
	n.Add("192.0.2.54:53", &Host{Handler: zone, NoUDP: true, NoTCP: true})

	start := time.Now()
	conn, err := n.Dial(t.Context(), "udp", "192.0.2.53:53")
	require.NoError(t, err, "the host should be reached")
	q, err := new(dns.Msg).SetQuestion("a.example.", dns.TypeMX).Pack()
	require.NoError(t, err, "the question should be packed")
	ask := func(c net.Conn) {
		_, err := c.Write(q)
		require.NoError(t, err, "the question should be sent")
	}
	ask(conn)
	require.NoError(t, conn.SetReadDeadline(start.Add(time.Second)), "a deadline should be set")
	_, err = conn.Read(make([]byte, 512))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout, "the first datagram should be lost")
	assert.Equal(t, time.Second, time.Since(start), "and the deadline kept")

	require.NoError(t, conn.SetReadDeadline(time.Time{}), "the deadline should be taken back")
	ask(conn)
	buf := make([]byte, 512)
	size, err := conn.Read(buf)
	require.NoError(t, err, "the second should be answered")
	m := new(dns.Msg)
	require.NoError(t, m.Unpack(buf[:size]), "by a message")
	assert.Len(t, m.Answer, 2, "from the zone")
	assert.Equal(t, 1030*time.Millisecond, time.Since(start), "after the latency")
	assert.Equal(t, 1, h.Asked("a.example", dns.TypeMX), "what was lost should not be counted")

	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := conn.Read(make([]byte, 512))
		assert.ErrorIs(t, err, net.ErrClosed, "closing should end a read")
	})
	synctest.Wait()
	require.NoError(t, conn.Close(), "the connection should close")
	wg.Wait()

	_, err = n.Dial(t.Context(), "tcp", "192.0.2.54:53")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "TCP can be refused")
	conn, err = n.Dial(t.Context(), "udp", "192.0.2.54:53")
	require.NoError(t, err, "UDP has no refusal at dialing")
	ask(conn)
	_, err = conn.Read(make([]byte, 512))
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "but at reading")
}

func TestNetworkPipelinesTCP(t *testing.T) { synctest.Test(t, testNetworkPipelinesTCP) }
func testNetworkPipelinesTCP(t *testing.T) {
	zone, err := Zone(testZone)
	require.NoError(t, err, "the zone should be read")
	var n Network
	n.Add("192.0.2.53:53", &Host{Handler: zone, Latency: 30 * time.Millisecond})
	conn, err := n.Dial(t.Context(), "tcp", "192.0.2.53:53")
	require.NoError(t, err, "the host should be reached")
	defer conn.Close()
	var out []byte
	for range 3 {
		wire, err := new(dns.Msg).SetQuestion("mx.example.", dns.TypeA).Pack()
		require.NoError(t, err, "the question should be packed")
		out = append(out, frame(wire)...)
	}
	start := time.Now()
	for len(out) > 0 { // cut at odd places
		k := min(7, len(out))
		_, err = conn.Write(out[:k])
		require.NoError(t, err, "the questions should be sent")
		out = out[k:]
	}
	for range 3 {
		msg, err := readMessage(conn)
		require.NoError(t, err, "an answer should come")
		require.NoError(t, new(dns.Msg).Unpack(msg), "and be whole")
	}
	assert.Equal(t, 30*time.Millisecond, time.Since(start), "all should be answered together")
}

// BenchmarkServer floods a server from one socket, 200 questions in flight, and reports what the whole process used.
func BenchmarkServer(b *testing.B) {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	s, err := Start(Config{Addr: "127.0.0.1:0", Handler: func(dns.Question, bool) Answer { return Answer{Addrs: addrs} }, Delay: time.Millisecond})
	require.NoError(b, err, "the server should start")
	defer s.Close()
	conn, err := net.Dial("udp", s.Addr())
	require.NoError(b, err, "the server should be reached")
	defer conn.Close()
	wire, err := new(dns.Msg).SetQuestion("mx.example.", dns.TypeA).Pack()
	require.NoError(b, err, "the question should be packed")
	credit := make(chan struct{}, 200) // from the reader to the writer
	for range cap(credit) {
		credit <- struct{}{}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 512)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			credit <- struct{}{}
		}
	})
	for b.Loop() {
		<-credit
		_, err := conn.Write(wire)
		require.NoError(b, err, "the question should be sent")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "questions/s")
	conn.Close()
	for len(credit) > 0 {
		<-credit
	}
	wg.Wait()
}
