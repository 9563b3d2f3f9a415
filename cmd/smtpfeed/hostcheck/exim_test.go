package hostcheck

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExim changes one thing at a time in what Exim 4.96 printed (-bP config) of our own patches.
func TestExim(t *testing.T) {
	const local = "\n  smtpfeed_local:"
	for _, c := range []struct{ rule, old, new, says string }{
		{"as our patches make it", "", "", ""},
		{"few recipients", "max_rcpt = 1000", "max_rcpt = 50", "slow: exim: transport smtpfeed has max_rcpt = 50: a list of 10,000 recipients is 200 transactions, 20 at a time"},
		{"few recipients by default", "    max_rcpt = 1000\n", "", "slow: exim: transport smtpfeed has max_rcpt = 100"},
		{"any number of recipients", "max_rcpt = 1000", "max_rcpt = 0", ""},
		{"few at once", "remote_max_parallel = 20", "remote_max_parallel = 2", "slow: exim: remote_max_parallel is 2"},
		{"few at once by default", "remote_max_parallel = 20", "", "slow: exim: remote_max_parallel is 2"},
		{"a short wait", "final_timeout = 15m", "final_timeout = 5m", "unsafe: exim: transport smtpfeed has final_timeout = 5m0s, and smtpfeed may answer after 9m0s"},
		{"Exim's own wait is long enough", "    final_timeout = 15m\n", "", ""},
		{"a loop", "    allow_localhost\n", "", "unsafe: exim: transport smtpfeed lacks allow_localhost"},
		{"a loop, in words", "allow_localhost", "no_allow_localhost", "unsafe: exim: transport smtpfeed lacks allow_localhost"},
		{"TLS that must be", "hosts_avoid_tls = *", "hosts_require_tls = *", "unsafe: exim: transport smtpfeed has hosts_require_tls = *"},
		{"without pipelining", "hosts_avoid_tls = *", "hosts_avoid_pipelining = *", "slow: exim: transport smtpfeed has hosts_avoid_pipelining"},
		{"one domain a transaction", "hosts_avoid_tls = *", "no_multi_domain", "slow: exim: transport smtpfeed has no_multi_domain"},
		{"another port", "port = 2424", "port = 2425", "unsafe: exim: transport smtpfeed leads to tcp:127.0.0.1:2425"},
		{"the port of LMTP", "    port = 2424\n", "", "unsafe: exim: transport smtpfeed leads to tcp:127.0.0.1:24,"},
		{"no retry rule", "  127.0.0.1 * F,4d,1s\n", "", "slow: exim: no retry rule of its own for 127.0.0.1"},
		{"more than can be read back", "recipients_max = 16384", "recipients_max = 20000", "unsafe: exim: recipients_max is 20000"},
		{"any number", "recipients_max = 16384", "recipients_max = 0", "unsafe: exim: recipients_max is 0"},
		{"by default, too", "recipients_max = 16384", "", "unsafe: exim: recipients_max is 50000"},
		{"SMTP is none of ours", "protocol = lmtp", "protocol = smtp", "note: exim: /etc/exim4/exim4.conf has no transport that leads to smtpfeed"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			text := fixture(t, "exim.config", c.old, c.new)
			begin, rest, ok := strings.Cut(text, local)
			require.True(t, ok, "the fixture has the other transport as well")
			_, end, _ := strings.Cut(rest, "\nbegin retry")
			e := ReadExim(begin + "\nbegin retry" + end)
			assert.Equal(t, "/etc/exim4/exim4.conf", e.File, "Exim says which file it is")
			wants(t, c.says, summary(e.Check(unlimited())))
		})
	}
}

func TestEximLocalDriver(t *testing.T) {
	const journal = "note: exim: transport smtpfeed_local has driver = lmtp"
	for _, c := range []struct{ old, new, says string }{
		{"", "", journal},
		{"batch_max = 20000", "", "slow: exim: transport smtpfeed_local has batch_max = 1: a list of 10,000 recipients is 10000 transactions"},
		{"timeout = 15m\n    user", "timeout = 1m\n    user", "unsafe: exim: transport smtpfeed_local has timeout = 1m0s"},
		{"timeout = 15m\n    user", "user", "unsafe: exim: transport smtpfeed_local has timeout = 5m0s"},
		{"socket = /run/smtpfeed/lmtp.sock", "socket = /run/smtpfeed/x", "unsafe: exim: transport smtpfeed_local leads to unix:/run/smtpfeed/x"},
	} {
		wants(t, c.says, summary(ReadExim(fixture(t, "exim.config", c.old, c.new)).Check(unlimited())))
	}
}

// TestEximFile reads a file as it stands, with macros and conditions.
func TestEximFile(t *testing.T) {
	e := ReadExim(`PORT = 2424
HOSTPORT = x
.ifdef NONE
message_size_limit = 1
.else
message_size_limit = 100M # not a comment to Exim
.endif
recipients_max = 16384
remote_max_parallel = 20
begin transports
.ifndef PORT
PORT = 1
.endif
lists:
  driver = smtp
  protocol = \
     lmtp
  hide hosts = "127.0.0.1"
  port = PORT
  max_rcpt = 1K
  allow_localhost = true
begin retry
127.0.0.1 * F,1d,1s
`)
	e.File = "f"
	require.Len(t, e.transports, 1, "there is one transport")
	assert.Equal(t, "tcp:127.0.0.1:2424", e.transports[0].place(), "macros are replaced, the longest names first")
	wants(t, "", summary(e.Check(unlimited())))
	e.main["message_size_limit"] = "100M"
	wants(t, "note: exim: message_size_limit is 104857600", summary(e.Check(ourFeed())))
}
