package killloop

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRepliesAreFoundAmongOthersOnTheWire(t *testing.T) {
	for _, row := range []struct {
		name, octets string
		want         []string
	}{
		{"alone", Reply("a1-7") + "\r\n", []string{"a1-7"}},
		{"before the replies to the next transaction", Reply("a1-7") + "\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go ahead\r\n", []string{"a1-7"}},
		{"two", Reply("a1-7") + "\r\n" + Reply("a1-8") + "\r\n", []string{"a1-7", "a1-8"}},
		{"none", "250 2.1.0 Ok\r\n", nil},
		{"a refusal", "451 4.3.0 the message cannot be kept\r\n", nil},
		{"no name", replyText + "\r\n", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, ToldIn([]byte(row.octets)), "the messages whose 250 stands there")
		})
	}
}
