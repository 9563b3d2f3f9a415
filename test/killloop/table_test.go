package killloop

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTableSumsRoundsByWhatTheyKill(t *testing.T) {
	table := &Table{}
	bad := Verdict{Recipients: 100, AtRisk: 7, Missing: []string{"x"}, Duplicates: []Duplicate{
		{Cause: Unread, Allowed: true, Age: 2 * time.Millisecond},
		{Cause: Unread, Allowed: true, Age: 3 * time.Millisecond},
		{Cause: Recorded, Changed: true},
	}}
	feed, agent := Plan(1, 0, 5), Plan(1, 1, 5)
	table.Add("Postfix", "on", feed, 1, Verdict{Recipients: 10})
	table.Add("Postfix", "off", feed, 1, bad)
	table.Add("Postfix", "off", feed, 1, bad)
	table.Add("Postfix", "off", agent, 3, Verdict{Recipients: 50})
	var rows [][]string
	for line := range strings.Lines(table.String()) {
		rows = append(rows, strings.Fields(line))
	}
	require.Len(t, rows, 6, "a head, and a row for each kind and each ledger and their sums")
	assert.Equal(t, strings.Fields("Postfix (all) off 3 5 250 2 14 6 0 4 0 2 2 2 3ms"), rows[1], "the sum without a ledger")
	assert.Equal(t, strings.Fields("Postfix (all) on 1 1 10 0 0 0 0 0 0 0 0 0 0s"), rows[2], "stands above the one with it")
	assert.Equal(t, strings.Fields("Postfix agent off 1 3 50 0 0 0 0 0 0 0 0 0 0s"), rows[3], "kinds follow")
	assert.Equal(t, strings.Fields("Postfix smtpfeed off 2 2 200 2 14 6 0 4 0 2 2 2 3ms"), rows[4], "each with its own rounds")
}
