package hostcheck

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patient is smtpfeed with a budget that OpenSMTPD can wait for.
func patient() Feed {
	f := ourFeed()
	f.Budget = 270 * time.Second
	return f
}

func TestOpenSMTPD(t *testing.T) {
	const limits = "smtp limit max-rcpt 100000\nmta limit conn-delay-route 0 conn-delay-relay 0 max-conn-per-host 100 max-conn-per-route 100\n"
	const action = "action \"lists\" relay host lmtp://127.0.0.1:2424\n"
	for _, c := range []struct{ rule, text, says string }{
		{"all is well", limits + action, ""},
		{"a macro", limits + "feed = \"lmtp://127.0.0.1:2424\" # ours\naction \"lists\" relay host $feed\n", ""},
		{"a label", limits + `action "lists" relay host "lmtp://label@localhost:2424"`, ""},
		{"a continued line", limits + "action \"lists\" relay \\\n host lmtp://localhost:2424\n", ""},
		{"a table", limits + "table \"feeds\" {\n \"lmtp://127.0.0.1:2424\", \"lmtp://localhost:2424\" }\naction \"lists\" relay host <feeds>", ""},
		{"a table with another place", limits + "table feeds { \"lmtp://127.0.0.1:2424\"\n\"lmtp://127.0.0.2:2424\" }\naction \"lists\" relay host <feeds>", "unsafe: opensmtpd: action lists leads to tcp:127.0.0.2:2424"},
		{"a table that is not there", limits + "action \"lists\" relay host <feeds>", "note: opensmtpd"},
		{"another port", limits + `action "smtpfeed" relay host lmtp://localhost:24`, "unsafe: opensmtpd: action smtpfeed leads to tcp:localhost:24"},
		{"as to a mailbox", limits + `action "lists" lmtp "/run/smtpfeed/lmtp.sock" rcpt-to`, "unsafe: opensmtpd: action lists delivers by lmtp as to a local mailbox"},
		{"as to a mailbox by TCP", limits + `action "lists" lmtp "localhost:2424" rcpt-to`, "unsafe: opensmtpd: action lists delivers by lmtp as to a local mailbox"},
		{"no action of ours", limits + "action \"relay\" relay\n", "note: opensmtpd: /etc/smtpd.conf has no action that relays to smtpfeed"},
		{"few recipients", strings.Replace(limits, "max-rcpt 100000", "max-rcpt 1000", 1) + action, "slow: opensmtpd: max-rcpt is 1000"},
		{"the default's recipients", strings.Replace(limits, "smtp limit", "#", 1) + action, "slow: opensmtpd: max-rcpt is 1000"},
		{"a delay", limits + action + "mta limit conn-delay-route 5", "slow: opensmtpd: conn-delay-route is 5"},
		{"a delay for others", limits + action + "mta limit for domain x.test conn-delay-route 5", ""},
		{"few connections", limits + action + "mta limit max-conn-per-route 5", "slow: opensmtpd: max-conn-per-route is 5"},
		{"large messages", limits + action + "smtp max-message-size 100M", "note: opensmtpd: max-message-size is 104857600"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			o := ReadOpenSMTPD(c.text, nil)
			o.File = "/etc/smtpd.conf"
			wants(t, c.says, summary(o.Check(patient())))
		})
	}
}

func TestOpenSMTPDWait(t *testing.T) {
	o := ReadOpenSMTPD("action x relay host lmtp://localhost:2424", nil)
	wants(t, "unsafe: opensmtpd: OpenSMTPD waits 5m0s for a reply, which is not configurable", summary(o.Check(ourFeed())))
}

// TestOpenSMTPDPatch: what our own patch says is what we want, by way of include.
func TestOpenSMTPDPatch(t *testing.T) {
	text, err := os.ReadFile("../../../patches/opensmtpd/smtpfeed.conf")
	require.NoError(t, err, "the patch is there")
	o := ReadOpenSMTPD("include \"/etc/smtpfeed.conf\"\n", func(file string) string {
		assert.Equal(t, "/etc/smtpfeed.conf", file, "the included file is asked for")
		return string(text)
	})
	require.Len(t, o.actions, 1, "it has one action")
	f := patient()
	f.Listen, _ = o.places(o.actions[0])
	require.NotEmpty(t, f.Listen, "which leads to us")
	wants(t, "", summary(o.Check(f)))
}

func TestOpenSMTPDIncludesItself(t *testing.T) {
	n := 0
	ReadOpenSMTPD("include \"a\"", func(string) string { n++; return "include \"a\"\ninclude \"a\"\n" })
	assert.LessOrEqual(t, n, mostIncludes, "a file that includes itself comes to an end")
}
