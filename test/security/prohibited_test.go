package security

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// internal are addresses of machines that are nobody's exchangers, in all the forms in which an address record can say so. Those
// behind the empty line are IPv6 addresses that a gateway, or this machine, turns into an IPv4 address that stands inside them.
const internal = `0.0.0.0 127.0.0.1 127.255.255.254 10.1.2.3 100.64.0.1 169.254.169.254 172.16.0.1 192.168.0.1 198.18.0.1 224.0.0.1 255.255.255.255
:: ::1 fe80::1 fec0::1 fc00::1 fd12:3456::1 ff02::1 100::1

::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254 ::127.0.0.1 ::10.1.2.3 ::ffff:0:127.0.0.1
64:ff9b::127.0.0.1 64:ff9b::10.1.2.3 64:ff9b::169.254.169.254 64:ff9b:1::1 64:ff9b:1:fffe:7f:0:100:0
2002:7f00:1:: 2002:7f00:1::1 2002:a01:203::1 2002:a9fe:a9fe::1 2001:0:7f00:1:: 2001:0:5db8:d822:0:0:f5fe:fdfc`

// rebound is a zone of domains that say of each internal address, in each way there is, that their mail belongs there; and the
// domains.
func rebound(t *testing.T) (zone string, domains []string) {
	t.Helper()
	var b strings.Builder
	record := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for i, text := range strings.Fields(internal) {
		a, err := netip.ParseAddr(text)
		require.NoError(t, err, "%q is an address", text)
		family := "A"
		if !a.Is4() {
			family = "AAAA"
		}
		record("host%d.test. %s %s", i, family, text)
		record("mx%d.test. MX 10 host%d.test.", i, i)
		record("cname%d.test. CNAME mx%d.test.", i, i)
		record("two%d.test. MX 10 host%d.test.\ntwo%d.test. MX 10 other%d.test.\nother%d.test. CNAME host%d.test.", i, i, i, i, i, i)
		if a.Is4() {
			record("text%d.test. MX 10 %s.", i, text) // an address where a name belongs
			domains = append(domains, fmt.Sprintf("text%d.test", i), "["+text+"]")
		} else {
			domains = append(domains, "[IPv6:"+text+"]")
		}
		for _, way := range []string{"host", "mx", "cname", "two"} {
			domains = append(domains, fmt.Sprintf("%s%d.test", way, i))
		}
	}
	return b.String(), domains
}

// A trap listens on every address of this machine, and counts who comes.
func trap(t *testing.T) (port int, sprung *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err, "there is a free port")
	t.Cleanup(func() { l.Close() })
	sprung = new(atomic.Int64)
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sprung.Add(1)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, sprung
}

// dials is how many connections smtpfeed has tried.
func dials(t *testing.T, d *daemon) (n int) {
	t.Helper()
	const name = "smtpfeed_dials_total "
	for line := range strings.Lines(d.ask(t, "/metrics")) {
		if value, ok := strings.CutPrefix(line, name); ok {
			_, err := fmt.Sscan(value, &n)
			require.NoError(t, err, "%q is a number", value)
			return n
		}
	}
	require.Fail(t, "there is no such metric", name)
	return 0
}

func TestNoAnswerMakesItDialWhatIsProhibited(t *testing.T) {
	zone, domains := rebound(t)
	port, sprung := trap(t)
	d := start(t, setting{dns: zone, smtp: fmt.Sprintf("port = %d\nprohibited = [\"default\"]\nconnect_timeout = \"1s\"\n", port)})
	for _, domain := range domains {
		h := lhlo(t, d)
		before := dials(t, d)
		h.say("MAIL FROM:<"+sender+">", "250 ")
		// It may be known already, and then it is refused at once.
		if r := h.say("RCPT TO:<a@"+domain+">", ""); strings.HasPrefix(r, "250") {
			h.say("DATA", "354 ")
			h.send(wire("Subject: x\r\n\r\nx\r\n"))
			r = h.line()
			assert.Regexp(t, `^550 5\.(?:4\.4|1\.2) .*(?:prohibited|no address|neither MX nor address|has an address)`, r,
				"%s is refused, and the host MTA told why", domain)
		}
		assert.Equal(t, before, dials(t, d), "nothing is dialled for %s", domain)
		h.quit()
	}
	assert.Zero(t, sprung.Load(), "nobody comes where nobody may be sent")
}

// What may be dialled beside what may not is, alone.
func TestGoodAddressesBesideProhibitedOnes(t *testing.T) {
	next := receive(t, leniencies()[0], false)
	port := next.listener.Addr().(*net.TCPAddr).Port
	d := start(t, setting{
		dns: "mixed.test. MX 10 a.test.\nmixed.test. MX 5 b.test.\na.test. A 10.1.2.3\na.test. A 127.0.0.1\na.test. AAAA 2002:a01:203::1\nb.test. A 10.9.9.9\n",
		// For this test loopback is the internet, and the network of somebody's own is what it is.
		smtp: fmt.Sprintf("port = %d\nprohibited = [\"10.0.0.0/8\"]\n", port),
	})
	h := lhlo(t, d)
	delivered(t, h.transaction(sender, []string{"a@mixed.test"}, wire("Subject: x\r\n\r\nx\r\n")))
	h.quit()
	assert.Equal(t, 1, dials(t, d), "one address was dialled")
}

// The operator may send mail into his own network, by a route. That opens nothing for others: not the address, and not the session
// that is open already.
func TestRoutesOpenNothingForDNS(t *testing.T) {
	next := receive(t, leniencies()[0], false)
	port := next.listener.Addr().(*net.TCPAddr).Port
	d := start(t, setting{
		dns: "evil.test. MX 10 mx.evil.test.\nmx.evil.test. A 127.0.0.1\ninside.test. MX 10 mx.evil.test.\n" +
			"steals.test. MX 10 relay.inside.test.\nrelay.inside.test. A 127.0.0.1\n",
		routes: []string{"good.test " + next.at(), fmt.Sprintf("named.test relay.inside.test:%d", port)},
		smtp:   fmt.Sprintf("port = %d\nprohibited = [\"default\"]\n", port),
	})
	h := lhlo(t, d)
	to := []string{"a@good.test", "b@named.test", "c@evil.test", "d@inside.test", "e@steals.test", "f@[127.0.0.1]"}
	for range 2 { // at first together, then with a session that is open
		h.say("MAIL FROM:<"+sender+">", "250 ")
		var accepted []string
		for _, a := range to {
			if strings.HasPrefix(h.say("RCPT TO:<"+a+">", ""), "250") {
				accepted = append(accepted, a)
			}
		}
		h.say("DATA", "354 ")
		h.send(wire("Subject: x\r\n\r\nx\r\n"))
		for _, a := range accepted {
			want := "550 5.4.4 "
			if strings.HasSuffix(a, "@good.test") || strings.HasSuffix(a, "@named.test") {
				want = "250 2."
			}
			h.expect(want)
		}
	}
	h.quit()
	for _, l := range next.taken() {
		for _, c := range l.commands {
			assert.NotRegexp(t, `RCPT TO:<[cdef]@`, c, "nobody rides along to where he may not go")
		}
	}
}

// An answer that changes between two questions (DNS rebinding) is judged each time: a good one for a name is no word for the next.
func TestRebindingChangesNothing(t *testing.T) {
	port, sprung := trap(t)
	var asked atomic.Int64
	answer := func(q dns.Question, _ bool) dnssim.Answer {
		name := "mx." + q.Name[max(0, len(q.Name)-len("rebind.test.")):]
		switch q.Qtype {
		case dns.TypeMX: // by the additional section it says one thing
			return dnssim.Answer{MX: []dnssim.MX{{Preference: 10, Name: fmt.Sprintf("n%d.%s", asked.Load()/2, name), Addrs: rebinding(asked.Add(1))}}, TTL: 1}
		case dns.TypeA: // and asked for it another
			return dnssim.Answer{Addrs: rebinding(asked.Add(1)), TTL: 1}
		}
		return dnssim.Answer{}
	}
	s, err := dnssim.Listen("127.0.0.1:0", answer)
	require.NoError(t, err, "there is a name server")
	t.Cleanup(func() { s.Close() })
	d := start(t, setting{server: s.Addr(), smtp: fmt.Sprintf("port = %d\nprohibited = [\"default\"]\nconnect_timeout = \"1s\"\n", port)})
	h := lhlo(t, d)
	for n := range 20 {
		final := h.transaction(sender, []string{fmt.Sprintf("a@d%d.rebind.test", n)}, wire("Subject: x\r\n\r\nx\r\n"))
		assert.NotRegexp(t, "^250", final[0], "nobody takes the mail")
	}
	h.quit()
	assert.GreaterOrEqual(t, asked.Load(), int64(20), "there were many answers")
	assert.Zero(t, sprung.Load(), "nobody comes where nobody may be sent")
}

// rebinding is what the n-th answer says: where nobody answers, or here.
func rebinding(n int64) []netip.Addr {
	return []netip.Addr{netip.MustParseAddr([]string{"192.0.2.1", "127.0.0.1"}[n%2])}
}

// A range may be written as IPv6 sees IPv4. It says the same.
func TestProhibitedRangesOfMappedAddresses(t *testing.T) {
	port, sprung := trap(t)
	d := start(t, setting{
		dns:  "evil.test. MX 10 mx.evil.test.\nmx.evil.test. A 127.0.0.1\nmx.evil.test. AAAA ::ffff:127.0.0.2\n",
		smtp: fmt.Sprintf("port = %d\nprohibited = [\"::ffff:127.0.0.0/104\"]\n", port),
	})
	h := lhlo(t, d)
	final := h.transaction(sender, []string{"a@evil.test"}, wire("Subject: x\r\n\r\nx\r\n"))
	assert.Regexp(t, "^550 5.4.4 .*prohibited", final[0], "it is refused")
	h.quit()
	assert.Zero(t, sprung.Load(), "nobody comes where nobody may be sent")
}
