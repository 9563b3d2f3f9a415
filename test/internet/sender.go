package internet

import (
	"strings"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// Sender is the envelope sender of a transaction to one recipient: template with {local} and {domain} replaced by the recipient's
// (VERP, variable envelope return paths). A template without them is everybody's sender.
func Sender(template, to string) string {
	at := strings.LastIndexByte(to, '@')
	return strings.NewReplacer("{local}", to[:max(at, 0)], "{domain}", to[at+1:]).Replace(template)
}

// sentRight says that a transaction's sender is that of each of its recipients: with a personal one there can be only one recipient.
func (c *Config) sentRight(m *mxsim.Message) bool {
	// Everybody's sender is compared once: a list has a hundred recipients a transaction.
	if c.Sender == "" || !strings.Contains(c.Sender, "{") {
		return c.Sender == "" || m.From == c.Sender
	}
	for _, to := range m.To {
		if m.From != Sender(c.Sender, to) {
			return false
		}
	}
	return true
}
