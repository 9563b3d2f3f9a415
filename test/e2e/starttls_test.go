package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A ciphered is a Postfix with doors of several kinds, and domains named after them.
type ciphered struct {
	*postfix
	mailbox *exchanger
	doors   map[string]door
}

// startCiphered starts the Postfix. Its certificate is one that nobody can verify: without a policy any will do (RFC 7435).
func startCiphered(t *testing.T) *ciphered {
	t.Helper()
	addrs := newAddrs(t, 6)
	chain := "smtpd_tls_chain_files=" + chainFile(t, mxsim.SelfSigned(mxsim.Order{Names: []string{"localhost"}}))
	c := &ciphered{doors: map[string]door{
		"offers": {"offers", addrs[0], []string{chain, "smtpd_tls_security_level=may"}},
		"wants":  {"wants", addrs[1], []string{chain, "smtpd_tls_security_level=encrypt"}},
		"plain":  {"plain", addrs[2], []string{"smtpd_tls_security_level=none"}},
		// Without a certificate a server can only be anonymous, which few clients speak: no handshake succeeds.
		"secret": {"secret", addrs[3], []string{"smtpd_tls_cert_file=none", "smtpd_tls_security_level=may"}},
		"strict": {"strict", addrs[4], []string{"smtpd_tls_cert_file=none", "smtpd_tls_security_level=encrypt"}},
		// It offers STARTTLS, and answers "454 4.7.0 TLS not available due to local problem".
		"ill": {"ill", addrs[5], []string{chain, "smtpd_tls_CAfile=/nonexistent", "smtpd_tls_security_level=may"}},
	}}
	var doors []door
	for _, d := range c.doors {
		doors = append(doors, d)
	}
	c.postfix, c.mailbox = startDoors(t, doors)
	return c
}

// feed starts smtpfeed with routes to all doors.
func (c *ciphered) feed(t *testing.T, tls, smtp string) *feedd.Daemon {
	t.Helper()
	routes := map[string][]string{}
	for name, d := range c.doors {
		routes[name+".test"] = []string{d.host()}
	}
	return feedd.Start(t, feedd.Config{World: startWorld(t, internet.Config{Domains: 1, Hosts: 1}), Routes: routes, TLS: tls, SMTP: smtp})
}

// protected is how smtpfeed's reply tells of TLS.
var protected = regexp.MustCompile(`\((TLSv1\.[23]) ([A-Z0-9_]+)[^)]*\) said: 250 `)

// A sealed is what is known of a delivery over TLS: version and cipher.
type sealed struct{ version, cipher string }

// sealedBy reads them out of a text, whose pattern has them as groups.
func sealedBy(t *testing.T, pattern *regexp.Regexp, text string) sealed {
	t.Helper()
	m := pattern.FindStringSubmatch(text)
	require.NotNil(t, m, "%q tells of version and cipher", text)
	return sealed{m[1], m[2]}
}

// copyOf waits for the copy of a message with this subject, which only one may have, and returns Postfix's trace and the rest.
func copyOf(t *testing.T, mailbox *exchanger, subject string) (received, rest string) {
	t.Helper()
	var found []string
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found = nil
		for _, content := range mailbox.contents() {
			if strings.Contains(content, "\r\nSubject: "+subject+"\r\n") {
				found = append(found, content)
			}
		}
		assert.Len(c, found, 1, "copies of %q", subject)
	}, feedd.Patience, polling, "the mail is passed on")
	return cutReceived(found[0])
}

// Every delivery to a real Postfix tells the same of TLS in three places: Postfix's own trace, smtpfeed's reply and its record.
func TestMailReachesPostfixByTLSByteForByte(t *testing.T) {
	t.Parallel()
	c := startCiphered(t)
	for _, row := range []struct{ mode, policy string }{{"opportunistic", ""}, {"required", "required"}} {
		t.Run(row.mode, func(t *testing.T) {
			d := c.feed(t, `mode = "`+row.mode+`"`, "")
			l := lhlo(t, d)
			n := 0
			for _, domain := range []string{"offers.test", "wants.test", "offers.test"} {
				n++
				subject := fmt.Sprint(row.mode, " ", domain, " ", n)
				content := strings.Replace(awkward, "Subject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=", "Subject: "+subject, 1)
				if n == 3 {
					content += largeContent() // which goes by BDAT
				}
				reply := mail{from: sender, to: []string{"a@" + domain}, content: content}.deliver(l)[0]
				received, rest := copyOf(t, c.mailbox, subject)
				assert.True(t, content == rest, "it arrives as it was sent, octet for octet")
				trace := sealedBy(t, secured, received)
				assert.Equal(t, "TLSv1.3", trace.version, "both sides know the latest version")
				assert.Contains(t, received, "(No client certificate requested)", "nobody asks who we are")
				assert.Equal(t, trace, sealedBy(t, protected, reply), "the reply says what Postfix says")
				r := d.Recorded(t, n, "a@"+domain)
				assert.Equal(t, trace, sealedBy(t, regexp.MustCompile(`^(\S+) (\S+)$`), r.TLS), "and so does the record")
				assert.Equal(t, row.policy, r.TLSPolicy, "the record says who wanted TLS")
				assert.False(t, r.TLSVerified, "and that nobody looked at the certificate")
			}
			l.quit()
			first, last := d.Records(t, n)[0], d.Records(t, n)[n-1]
			assert.True(t, last.Reused && first.Session == last.Session, "the session is used again")
		})
	}
	for name, want := range map[string]string{
		"offers": "ehlo=2 starttls=1 mail=2 rcpt=2 data=1 bdat=1 quit=1 commands=10",
		"wants":  "ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
	} {
		assert.Equal(t, []string{want, want}, c.counted(t, c.doors[name], 2), "one handshake a session, and no command is refused")
		assert.Empty(t, feedd.LinesWith(strings.Join(c.through(t, c.doors[name]), "\n"), "warning", "improper", "SSL_accept error"), "Postfix finds no fault")
	}
}

// RFC 8446 section 4.6.1: with a ticket the second handshake needs no certificate. Postfix says so when it is asked to.
func TestSecondSessionWithPostfixIsResumed(t *testing.T) {
	t.Parallel()
	c := startCiphered(t)
	d := c.feed(t, `mode = "opportunistic"`, `idle_timeout = "1ms"`)
	l := lhlo(t, d)
	for n := range 2 {
		reply := mail{from: sender, to: []string{"a@offers.test"}, content: "Subject: again\r\n\r\n"}.deliver(l)
		assert.Regexp(t, protected, reply[0], "the mail goes by TLS")
		c.counted(t, c.doors["offers"], n+1) // the session is over
	}
	l.quit()
	log := strings.Join(c.through(t, c.doors["offers"]), "\n")
	assert.Len(t, feedd.LinesWith(log, "TLS connection established from"), 2, "there were two handshakes")
	assert.Len(t, feedd.LinesWith(log, "Reusing old session"), 1, "and the second one resumed the first")
	records := d.Records(t, 2)
	assert.NotEqual(t, records[0].Session, records[1].Session, "on a session of its own")
}

// RFC 3207 section 4.1 leaves it to the client what to do where TLS cannot be had: mail goes in clear, or waits where it is required. Where the
// host requires it (530), TLS is tried once more, and when that fails too mail waits: the host is named by the operator, who mends it.
func TestHostsWithoutWorkingTLS(t *testing.T) {
	t.Parallel()
	c := startCiphered(t)
	may, must := c.feed(t, `mode = "opportunistic"`, ""), c.feed(t, `mode = "required"`, "")
	const waits = `45[01] 4\.7\.\d `
	for n, row := range []struct{ name, may, must string }{
		{"plain", inClear, waits},
		{"secret", inClear, waits},
		{"ill", inClear, waits},
		{"strict", `451 4\.7\.4 .*said: 530 5\.7\.0 Must issue a STARTTLS`, waits},
	} {
		to := "a@" + row.name + ".test"
		send := func(d *feedd.Daemon, want string) feedd.Record {
			l := lhlo(t, d)
			reply := mail{from: sender, to: []string{to}, content: "Subject: " + row.name + "\r\n\r\n"}.deliver(l)[0]
			assert.Regexp(t, "^"+want, reply, "%s: the reply", row.name)
			assert.Contains(t, reply, c.doors[row.name].ip(), "%s: which names the host", row.name)
			l.quit()
			return d.Recorded(t, n+1, to)
		}
		assert.Empty(t, send(may, row.may).TLS, "%s: the record says that there was no TLS", row.name)
		assert.Equal(t, "deferred", send(must, row.must).Outcome, "%s: the mail waits where TLS is required", row.name)
		if row.may == inClear {
			received, _ := copyOf(t, c.mailbox, row.name)
			assert.NotContains(t, received, "using TLS", "%s: Postfix says what smtpfeed says", row.name)
		}
	}
	may.Terminate(t) // which ends its sessions
	may.Wait(t)
	assert.ElementsMatch(t, []string{"ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", "ehlo=1 quit=1 commands=2"},
		c.counted(t, c.doors["plain"], 2), "nothing but what may go in clear does")
}
