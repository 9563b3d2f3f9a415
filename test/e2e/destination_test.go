package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A wanted is a row of domains with an exchanger, "mx" or "plain", and what the operator wants for mail to it.
type wanted struct{ domain, host, destination, reply string }

var destinations = []wanted{
	{"usual", "mx", "", opportunistic},
	{"off", "mx", `mode = "off"`, inClear},
	{"required", "mx", `mode = "required"`, `250 2\.0\.0 .*\(TLSv1\.3 [^)]*required\) said: 250 `},
	{"verified", "mx", "mode = \"verified\"\nnames = [\"mx.test\"]", `250 2\.0\.0 .*verified\) said: 250 `},
	{"below", "mx", "mode = \"verified\"\nnames = [\".partner.test\"]", `250 2\.0\.0 .*verified\) said: 250 `},
	{"unknown", "mx", "mode = \"verified\"\nnames = [\"other.test\"]", `451 4\.7\.5 .*certificate`},
	{"unsafe", "plain", `mode = "required"`, noSTARTTLS},
	{"safe", "plain", "", inClear},
}

// The operator's word for a domain counts before everything else, and mail for two domains at one exchanger goes by two sessions where it
// differs.
func TestDestinationsAreTreatedAsTheOperatorWants(t *testing.T) {
	t.Parallel()
	ca, addrs := mxsim.NewAuthority("Mail CA"), newAddrs(t, 2)
	chain := "smtpd_tls_chain_files=" + chainFile(t, ca.Issue("mx.test", "mail.partner.test"))
	good := door{"good", addrs[0], []string{chain, "smtpd_tls_security_level=may"}}
	plain := door{"plain", addrs[1], []string{"smtpd_tls_security_level=none"}}
	p, mailbox := startDoors(t, []door{good, plain})
	zone, tables := "mx.mx.test. A "+good.ip()+"\nplain.mx.test. A "+plain.ip()+"\n", ""
	var to, arrive []string
	for _, w := range destinations {
		zone += fmt.Sprintf("%s.test. MX 10 %s.mx.test.\n", w.domain, w.host)
		if w.destination != "" {
			tables += fmt.Sprintf("[[tls.destination]]\ndomain = %q\n%s\n", w.domain+".test", w.destination)
		}
		to = append(to, "a@"+w.domain+".test")
		if strings.HasPrefix(w.reply, "250") {
			arrive = append(arrive, "a@"+w.domain+".test")
		}
	}
	d := feedd.Start(t, feedd.Config{
		World:  startZoned(t, addrs[0], zone),
		TLS:    fmt.Sprintf("mode = \"opportunistic\"\nroots = %q", writeFile(t, "roots.pem", ca.PEM())),
		Tables: tables,
	})
	l := lhlo(t, d)
	replies := mail{from: sender, to: to, content: "Subject: destinations\r\n\r\n"}.deliver(l)
	l.quit()
	for i, w := range destinations {
		assert.Regexp(t, "^"+w.reply, replies[i], "%s: the reply", w.domain)
	}
	assert.ElementsMatch(t, arrive, passedOn(t, mailbox, len(arrive)), "who has the mail")
	d.Terminate(t)
	d.Wait(t)
	for _, line := range p.counted(t, good, 6) {
		assert.NotContains(t, line, "rcpt=2", "nobody shares a session with one who wants something else")
	}
}
