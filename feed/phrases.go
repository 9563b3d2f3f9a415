package feed

import (
	"slices"
	"strings"
	"unicode"

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

// wantsTLS says that the server refuses mail for want of TLS. RFC 3207 section 4 has 530 for it and RFC 3463's registry X.7.10; large receivers
// have neither, as in "421 4.7.0 TLS required for RCPT domain".
func wantsTLS(r wire.Reply) bool {
	if r.Code/100 != 4 && r.Code/100 != 5 {
		return false
	}
	if r.Code == 530 || r.Enhanced.Subject == 7 && r.Enhanced.Detail == 10 {
		return true
	}
	words := strings.FieldsFunc(strings.ToLower(r.Text), func(c rune) bool { return !unicode.IsLetter(c) })
	return slices.ContainsFunc(words, func(w string) bool {
		return w == "tls" || w == "starttls" || w == "ssl" || strings.HasPrefix(w, "encrypt")
	})
}

// isUnknown says that the server does not know the command: RFC 5321 section 4.2.4 for 500 and 502; 503 comes from those that do
// not know it after RCPT.
func isUnknown(r wire.Reply) bool { return r.Code >= 500 && r.Code <= 504 }
