package feed

import (
	"strings"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// What codes leave open and hosts say in words.

// isTooManyMessages knows the words, beside 421, for a session that has carried all it may. RFC 9422 section 4.1 has MAILMAX for
// it and no code of its own.
func isTooManyMessages(r wire.Reply) bool {
	if r.Code/100 != 4 {
		return false
	}
	text := strings.ToLower(r.Text)
	return strings.Contains(text, "too many messages") || strings.Contains(text, "too many transactions") ||
		strings.Contains(text, "messages per connection") || strings.Contains(text, "messages per session")
}

// isUnknown says that the server does not know the command: RFC 5321 section 4.2.4 for 500 and 502; 503 comes from those that do
// not know it after RCPT.
func isUnknown(r wire.Reply) bool { return r.Code >= 500 && r.Code <= 504 }
