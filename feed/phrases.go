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

// isEncryptionNeeded knows the codes of servers that refuse mail for want of TLS: RFC 3207 section 4 has 530, and X.7.10 is registered for it.
func isEncryptionNeeded(r wire.Reply) bool {
	return r.Code == 530 || r.Enhanced.Subject == 7 && r.Enhanced.Detail == 10
}

// wantsTLS knows the words, too, as in "421 4.7.0 TLS required for RCPT domain". Addresses and names of hosts are no words of the server's.
func wantsTLS(r wire.Reply) bool {
	switch {
	case r.Code/100 != 4 && r.Code/100 != 5:
		return false
	case isEncryptionNeeded(r):
		return true
	case r.Enhanced.Subject != 7 && r.Enhanced != (wire.Enhanced{}):
		return false
	}
	text := strings.NewReplacer("ssl/tls", "tls", "tls/ssl", "tls", "non-tls", "tls").Replace(strings.ToLower(r.Text))
	return slices.ContainsFunc(strings.Fields(text), func(w string) bool {
		w = strings.TrimFunc(w, func(c rune) bool { return !unicode.IsLetter(c) })
		return w == "tls" || w == "starttls" || w == "ssl" || w == "encryption" || w == "encrypted"
	})
}

// namesDSN says that a refusal speaks of a parameter of RFC 3461, as in "555 5.5.4 Unsupported option: RET=HDRS".
func namesDSN(r wire.Reply) bool {
	words := strings.FieldsFunc(strings.ToUpper(r.Text), func(c rune) bool { return !unicode.IsLetter(c) })
	return slices.ContainsFunc(words, func(w string) bool {
		return w == "DSN" || w == "RET" || w == "ENVID" || w == "NOTIFY" || w == "ORCPT"
	})
}

// isUnknown says that the server does not know the command: RFC 5321 section 4.2.4 for 500 and 502; 503 comes from those that do
// not know it after RCPT.
func isUnknown(r wire.Reply) bool { return r.Code >= 500 && r.Code <= 504 }
