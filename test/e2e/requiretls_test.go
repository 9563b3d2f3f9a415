package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// startExchangerAt is startExchanger at an address.
func startExchangerAt(t *testing.T, addr string, c mxsim.Config) *exchanger {
	t.Helper()
	c.KeepContent = true
	s := mxsim.New(c)
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err, "there is a port")
	s.Start(l)
	t.Cleanup(s.Close)
	return &exchanger{s, literal(l)}
}

// A wished is a world in which some exchangers keep REQUIRETLS and some domains say by MTA-STS who their exchangers are.
type wished struct {
	*feedd.Daemon
	keeps, lacks, plain *exchanger
}

func startWished(t *testing.T) *wished {
	t.Helper()
	feedd.NeedPostfix(t) // or rather root, for port 443
	ca, addrs := mxsim.NewAuthority("Web CA"), newAddrs(t, 3)
	w := &wished{
		keeps: startExchangerAt(t, addrs[0], mxsim.Config{TLS: ca.Issue("keeps.mx.test").Config(), RequireTLS: true}),
		lacks: startExchangerAt(t, addrs[1], mxsim.Config{TLS: ca.Issue("lacks.mx.test").Config()}),
		plain: startExchangerAt(t, addrs[2], mxsim.Config{}),
	}
	vouched := policyText("enforce", "*.mx.test")
	policies := map[string]string{"keeps.test": vouched, "both.test": vouched, "lacks.test": vouched, "plain.test": vouched}
	web := startPublisher(t, ca, policies)
	zone := "keeps.test. MX 1 keeps.mx.test.\nboth.test. MX 1 lacks.mx.test.\nboth.test. MX 2 keeps.mx.test.\n" +
		"lacks.test. MX 1 lacks.mx.test.\nplain.test. MX 1 plain.mx.test.\nunvouched.test. MX 1 keeps.mx.test.\n"
	for i, host := range []string{"keeps", "lacks", "plain"} {
		zone += fmt.Sprintf("%s.mx.test. A %s\n", host, hostOf(addrs[i]))
	}
	for domain := range policies {
		zone += fmt.Sprintf("_mta-sts.%s. TXT \"v=STSv1; id=1;\"\nmta-sts.%s. A %s\n", domain, domain, web.ip)
	}
	w.Daemon = feedd.Start(t, feedd.Config{
		World: startZoned(t, addrs[0], zone),
		LMTP:  "requiretls = true",
		TLS:   fmt.Sprintf("mode = \"opportunistic\"\nmta_sts = true\nroots = %q", writeFile(t, "roots.pem", ca.PEM())),
	})
	return w
}

// RFC 8689 section 4.2.1: such mail goes only where DNSSEC or MTA-STS vouches for the exchanger's name, over TLS with its certificate
// verified, and to a host that keeps the promise; "or the message MUST be rejected", with 5.7.30. What has no such wish goes on as ever.
func TestMailWithREQUIRETLSGoesWhereItsWishIsKept(t *testing.T) {
	t.Parallel()
	w := startWished(t)
	l := dial(t, "unix", w.Socket())
	assert.Contains(t, l.say("LHLO client.e2e.test", "250"), "REQUIRETLS", "smtpfeed offers it")
	to := []string{"a@keeps.test", "a@both.test", "a@lacks.test", "a@plain.test", "a@unvouched.test"}
	replies := mail{from: sender, to: to, params: " REQUIRETLS", content: "Subject: wish\r\n\r\n"}.deliver(l)
	const kept, refused = `250 2\.0\.0 keeps\.mx\.test\[.*verified\) said: 250`, `550 5\.7\.30 .*REQUIRETLS`
	for i, want := range []string{kept, kept, refused,
		`(550 5\.7\.30|451 4\.7\.[45]) `, // what lacks TLS today may have it tomorrow: the policy says that it should
		refused} {
		assert.Regexp(t, "^"+want, replies[i], "%s", to[i])
	}
	for _, m := range w.keeps.Messages() {
		assert.Contains(t, strings.Fields(m.Params), "REQUIRETLS", "the wish goes on")
	}
	assert.Empty(t, append(w.lacks.accepted(), w.plain.accepted()...), "nobody else has it")
	w.others(t, l)
	l.quit()
	for _, x := range []*exchanger{w.keeps, w.lacks, w.plain} {
		assert.Empty(t, x.Violations(), "no host finds fault")
	}
}

// others sends mail without the wish, and with another: RFC 8689 section 5, that it arrives rather than that a policy is kept.
func (w *wished) others(t *testing.T, l *dialog) {
	t.Helper()
	const field = "TLS-Required: No\r\n"
	for _, row := range []struct{ to, content, reply string }{
		{"b@lacks.test", "Subject: usual\r\n\r\n", stsVerified},
		{"b@unvouched.test", "Subject: usual\r\n\r\n", opportunistic},
		{"b@plain.test", "Subject: in the body it is no field\r\n\r\n" + field, noSTARTTLS},
		{"c@plain.test", field + "Subject: anyhow\r\n\r\n", inClear},
	} {
		m := mail{from: sender, to: []string{row.to}, content: row.content}
		assert.Regexp(t, "^"+row.reply, m.deliver(l)[0], "%s: %q", row.to, row.content)
	}
}
