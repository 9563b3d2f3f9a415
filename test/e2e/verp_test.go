package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// verpRule makes the copies of sender's lists personal.
const verpRule = `
[[verp]]
sender = "` + sender + `"
template = "bounces+{local}={domain}@lists.test"
header = "X-Recipient: {local}@{domain}"
`

const (
	verpRecipients = 500
	verpRefused    = verpRecipients / 25
)

// A list goes through Postfix in one submission. Every recipient gets a copy from a sender of its own, in which it can be read;
// those that are refused bounce, once, from Postfix to the list's own sender.
func TestPersonalCopiesOfAListThroughPostfix(t *testing.T) {
	one, two := startExchanger(t, verpHost()), startExchanger(t, verpHost())
	s := startSystem(t, systemConfig{
		world: internet.Config{Domains: 1, Hosts: 1},
		feed:  feedd.Config{Routes: map[string][]string{"one.test": {one.host}, "two.test": {two.host}}, Tables: verpRule},
	})
	to, content := verpList(), "Subject: list\r\n\r\n.For everybody.\r\n"
	submit(t, s.postfix, mail{from: sender, to: to, content: content})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, verpRecipients-verpRefused, len(one.accepted())+len(two.accepted()), "copies that arrived")
		assert.Len(c, s.returns.failures(), verpRefused, "refused recipients in notifications")
	}, feedd.Patience, 20*time.Millisecond, "everybody is told or tells")

	assert.Empty(t, settled(t, s.postfix, feedd.Patience), "Postfix has nothing left")
	assert.ElementsMatch(t, to, append(append(checkCopies(t, one, content), checkCopies(t, two, content)...), s.refused(t)...),
		"everybody got one copy or bounced once")
	st := s.feed.Idle(t)
	assert.EqualValues(t, 1, st.Feed.MessagesTotal, "it was one message")
	assert.EqualValues(t, verpRecipients, s.feed.Metric(t, "smtpfeed_transactions_personal_total"), "each recipient had a transaction")
	assert.Positive(t, s.feed.Metric(t, "smtpfeed_transactions_pipelined_total"), "commands rode behind the copies before")
}

// verpHost refuses one in 25 recipients.
func verpHost() mxsim.Config {
	return mxsim.Config{RTT: 5 * time.Millisecond, Rcpt: func(to string, _ int) string {
		if strings.HasPrefix(to, "gone") {
			return "550 5.1.1 <" + to + ">: no such user"
		}
		return ""
	}}
}

// verpList are the list's recipients, as they are on the wire. Some of them need quotes.
func verpList() (to []string) {
	for i := range verpRecipients {
		domain := []string{"one.test", "two.test"}[i%2]
		switch {
		case i%25 == 7:
			to = append(to, fmt.Sprintf("gone%d@%s", i, domain))
		case i%50 == 3:
			to = append(to, fmt.Sprintf(`"first last %d"@%s`, i, domain))
		default:
			to = append(to, fmt.Sprintf("subscriber%d@%s", i, domain))
		}
	}
	return to
}

// checkCopies looks at each copy that an exchanger took, and returns whose they are.
func checkCopies(t *testing.T, x *exchanger, content string) (to []string) {
	t.Helper()
	for _, m := range x.Messages() {
		require.Len(t, m.To, 1, "a copy has one recipient")
		assert.Equal(t, m.To[0], recipientOf(t, m.From), "and its sender tells which")
		line, rest, found := strings.Cut(string(m.Content), "\r\n")
		assert.True(t, found, "a copy has lines")
		assert.Equal(t, "X-Recipient: "+m.To[0], line, "the line asked for is the first one")
		received, rest := cutReceived(rest)
		assert.Contains(t, received, "by host.e2e.test (Postfix)", "behind it is Postfix's trace")
		assert.Equal(t, content, rest, "and then what was submitted, octet for octet")
		to = append(to, m.To[0])
	}
	assert.Empty(t, x.Violations(), "the host finds no fault with smtpfeed's protocol")
	return to
}

// recipientOf reads a recipient back from the sender of its copy, as a list manager does from the address a bounce went to.
func recipientOf(t *testing.T, from string) string {
	t.Helper()
	local, ok := strings.CutSuffix(from, "@lists.test")
	require.True(t, ok, "%s is at the template's domain", from)
	quoted := strings.HasPrefix(local, `"`)
	local, ok = strings.CutPrefix(strings.Trim(local, `"`), "bounces+")
	at := strings.LastIndexByte(local, '=')
	require.True(t, ok && at > 0, "%s is made by the template", from)
	if quoted {
		return `"` + local[:at] + `"@` + local[at+1:]
	}
	return local[:at] + "@" + local[at+1:]
}

// refused are the recipients that bounced, each as often as it did.
func (s *system) refused(t *testing.T) (to []string) {
	t.Helper()
	for _, f := range s.returns.failures() {
		assert.Equal(t, "5.1.1", f.status, "the status is the host's")
		assert.Contains(t, f.diagnostic, "<"+f.recipient+">: no such user", "and so are the words")
		to = append(to, f.recipient)
	}
	for _, m := range s.returns.Messages() {
		assert.Equal(t, []string{"", sender}, []string{m.From, m.To[0]}, "Postfix's bounces go from nobody to the list's own sender")
	}
	return to
}
