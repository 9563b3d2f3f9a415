package security

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// oddNames is a zone in which domains have exchangers with each octet in their name that a name server may send, all at one address,
// and aliases of such names; and the domains.
func oddNames() (zone string, domains []string) {
	var b strings.Builder
	for c := range 256 {
		name := fmt.Sprintf(`a\%03db.odd%d.test.`, c, c)
		fmt.Fprintf(&b, "mx%d.test. MX 10 %s\nalias%d.test. CNAME %s\nboth%d.test. MX 10 %s\nboth%d.test. MX 20 good.test.\n%s A 127.0.0.1\n%s MX 10 %s\n",
			c, name, c, name, c, name, c, name, name, name)
		for _, way := range []string{"mx", "alias", "both"} {
			domains = append(domains, fmt.Sprintf("%s%d.test", way, c))
		}
	}
	for i, name := range []string{`\226\128\174txt.exe.test.`, `<script>.test.`, `\034,\034outcome\034:\034delivered.test.`, `mx.test\010250\032forged.test.`,
		`a\@b.test.`, strings.Repeat("x", 63) + ".test.", strings.Repeat(`\027.`, 100) + "test.", `a\.b.test.`, `-a.test.`, `*.test.`, `_mx.test.`,
		"127.0.0.1.", "1.2.3.", "0x7f000001."} {
		fmt.Fprintf(&b, "known%d.test. MX 10 %s\n%s A 127.0.0.1\n", i, name, name)
		domains = append(domains, fmt.Sprintf("known%d.test", i))
	}
	b.WriteString("good.test. A 127.0.0.1\n")
	return b.String(), domains
}

// What DNS calls an exchanger is shown to many: it is in replies, logs, records and status.
func TestNoNameOfDNSBecomesAnythingElse(t *testing.T) {
	next := receive(t, leniencies()[0], false)
	zone, domains := oddNames()
	d := start(t, setting{dns: zone, smtp: fmt.Sprintf("port = %d\nprohibited = []\ngather_time = \"0s\"\n", next.listener.Addr().(*net.TCPAddr).Port)})
	h := lhlo(t, d)
	h.say("MAIL FROM:<"+sender+">", "250 ")
	accepted := 0
	for _, domain := range domains {
		if strings.HasPrefix(h.say("RCPT TO:<a@"+domain+">", ""), "250 ") {
			accepted++
		}
	}
	h.say("DATA", "354 ")
	h.send(wire("Subject: x\r\n\r\nx\r\n"))
	good := 0
	for range accepted {
		if strings.HasPrefix(h.line(), "250 2.") {
			good++
		}
	}
	h.quit()
	assert.Greater(t, good, 256, "what is a name, and what has a better exchanger beside, is delivered")
	nothingForged(t, []*receiver{next})
	clean(t, d)
	ascii(t, d)
}
