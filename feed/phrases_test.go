package feed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestWantsTLS(t *testing.T) {
	for text, want := range map[string]bool{
		"530 5.7.0 Must issue a STARTTLS command first": true,
		"530 no":                                             true,
		"550 5.7.10 not in the clear":                        true,
		"451 4.7.10 not in the clear":                        true,
		"421 4.7.0 TLS required for RCPT domain":             true,
		"554 5.7.1 (TLS) is required here.":                  true,
		"554 use STARTTLS, please":                           true,
		"550 5.7.1 SSL/TLS required":                         true,
		"554 5.7.1 Non-TLS connections are refused":          true,
		"550 5.7.1 encryption required":                      true,
		"550 5.7.1 message refused":                          false,
		"550 5.1.1 <u1@ssl.one.test> user unknown":           false,
		"550 <tls@one.test>: user unknown":                   false,
		"550 mail for tls.example.org is not relayed":        false,
		"554 5.6.0 an attachment that is encrypted":          false,
		"250 2.0.0 TLS is fine":                              false,
		"354 go ahead, TLS":                                  false,
		"450 4.2.0 greylisted, see https://tls.example/grey": false,
		"452 4.3.1 out of memory in tls":                     false,
	} {
		r, err := wire.NewReader(strings.NewReader(text + "\r\n")).ReadReply()
		require.NoError(t, err, "%s: a reply", text)
		assert.Equal(t, want, wantsTLS(r), "%s: it is for want of TLS", text)
	}
}
