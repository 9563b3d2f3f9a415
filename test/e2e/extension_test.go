package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// An extended is a mail that needs something of the next hop, and the domains it goes to: "only.NAME.test" has one host, which cannot,
// and "both.NAME.test" a second one, which can.
type extended struct {
	name    string
	local   string // part of the address
	params  string // of MAIL
	content string
	poor    mxsim.Config // the host that cannot
	status  string       // with which only.NAME.test bounces; "" where it is delivered all the same
}

// Of the extensions that Postfix hands on. RFC 6531 section 3.2, RFC 6152 section 3, RFC 1870 section 6.1.
func extensions() []extended {
	words := func(k ...string) mxsim.Config {
		return mxsim.Config{Keywords: append(k, "PIPELINING", "ENHANCEDSTATUSCODES")}
	}
	return []extended{
		{"utf8", "gr\u00fc\u00dfe", " SMTPUTF8", "Subject: gr\u00fc\u00dfe\r\n\r\n", words("8BITMIME"), "5.6.7"},
		{"eight", "a", " BODY=8BITMIME", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n" +
			"Subject: eight\r\n\r\ngr\u00fc\u00dfe\r\n", words("SMTPUTF8"), "5.6.3"},
		{"size", "a", "", "Subject: size\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 100), words("8BITMIME", "SIZE 5000"), "5.3.4"},
	}
}

func TestWhatTheNextHopMustKnowIsLookedForAtEveryExchanger(t *testing.T) {
	t.Parallel()
	rich := startExchanger(t, mxsim.Config{SMTPUTF8: true})
	routes, poor := map[string][]string{}, map[string]*exchanger{}
	for _, e := range extensions() {
		x := startExchanger(t, e.poor)
		poor[e.name] = x
		routes["only."+e.name+".test"], routes["both."+e.name+".test"] = []string{x.host}, []string{x.host, rich.host}
	}
	s := startSystem(t, systemConfig{
		world: internet.Config{Domains: 1, Hosts: 1}, feed: feedd.Config{Routes: routes},
		postfix: []string{"smtputf8_enable = yes", "smtputf8_autodetect_classes = all"},
	})
	for _, e := range extensions() {
		to := []string{e.local + "@only." + e.name + ".test", e.local + "@both." + e.name + ".test"}
		submit(t, s.postfix, mail{from: sender, to: to, params: e.params, content: e.content})
	}
	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "nothing waits: it will not get better")
	require.Eventually(t, func() bool { return len(s.returns.Messages()) >= len(extensions()) }, feedd.Patience, 50*time.Millisecond, "each bounces once")
	bounces := told(t, s.returns.notifications(t))
	for _, e := range extensions() {
		only, both := e.local+"@only."+e.name+".test", e.local+"@both."+e.name+".test"
		assert.Equal(t, "failed "+e.status, bounces[only], "%s: the sender hears why", e.name)
		assert.NotContains(t, bounces, both, "%s: where another exchanger can", e.name)
		assert.Contains(t, rich.accepted(), both, "%s: the mail goes there", e.name)
		assert.Empty(t, poor[e.name].accepted(), "%s: and never to one that cannot", e.name)
		assert.Empty(t, poor[e.name].Violations(), "%s: which is not asked for it either", e.name)
	}
	require.Len(t, rich.Messages(), len(extensions()), "each mail arrives once")
	var want, got []string
	for i, m := range rich.Messages() {
		_, rest := cutReceived(string(m.Content))
		want, got = append(want, extensions()[i].content), append(got, rest)
	}
	assert.ElementsMatch(t, want, got, "as it was submitted")
	assert.Empty(t, rich.Violations(), "that host finds no fault either")
}

// Where the operator wants it, 8-bit content goes to hosts that do not offer 8BITMIME as it is, as most programs do: nearly all hosts take it.
func TestEightBitContentGoesAnywhereIfTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	mx := startExchanger(t, mxsim.Config{Keywords: []string{"PIPELINING"}})
	d := feedd.Start(t, feedd.Config{
		World:  startWorld(t, internet.Config{Domains: 1, Hosts: 1}),
		SMTP:   "send_8bit = true",
		Routes: map[string][]string{"eight.test": {mx.host}},
	})
	l := lhlo(t, d)
	m := mail{from: sender, to: []string{"a@eight.test"}, params: " BODY=8BITMIME", content: "Subject: eight\r\n\r\ngr\u00fc\u00dfe\r\n"}
	assert.Regexp(t, `^250 2\.0\.0 `, m.deliver(l)[0], "the mail is delivered")
	l.quit()
	assert.Equal(t, []string{m.content}, mx.contents(), "octet for octet")
	assert.Empty(t, mx.Violations(), "without a parameter that was not offered")
}
