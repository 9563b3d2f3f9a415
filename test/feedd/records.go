package feedd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A Record is the part of a delivery record that tests look at.
type Record struct {
	To, Outcome, Enhanced, Reply, MX, Addr string

	TLS         string
	TLSPolicy   string `json:"tls_policy"`
	TLSVerified bool   `json:"tls_verified"`
	Session     uint64
	Reused      bool
}

// Records waits until smtpfeed has written n delivery records, and returns them.
func (d *Daemon) Records(t *testing.T, n int) (all []Record) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all = nil
		for line := range strings.Lines(ReadLog(t, d.Path("deliveries.jsonl"))) {
			var r Record // a line that is half written is read again
			if assert.NoError(c, json.Unmarshal([]byte(line), &r), "a record is JSON: %q", line) {
				all = append(all, r)
			}
		}
		assert.Len(c, all, n, "delivery records")
	}, Patience, polling, "smtpfeed keeps records")
	return all
}

// Recorded is the last of n records about a recipient.
func (d *Daemon) Recorded(t *testing.T, n int, to string) (last Record) {
	t.Helper()
	for _, r := range d.Records(t, n) {
		if r.To == to {
			last = r
		}
	}
	require.Equal(t, to, last.To, "there is a record of the recipient")
	return last
}
