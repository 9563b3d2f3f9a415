package conformance

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/faults.jsonl
var faultsText []byte

// An entry is a fault of the catalogue, as far as this package needs it.
type entry struct {
	ID      string `json:"id"`
	Trigger string `json:"trigger"`
}

// catalogue is all of it, in its order.
func catalogue(t *testing.T) (all []entry) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(faultsText))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e), "%s is an entry", lines.Text())
		all = append(all, e)
	}
	require.NoError(t, lines.Err(), "the catalogue can be read")
	return all
}

// TestEveryFaultIsScriptedOrListed: nothing of the catalogue is forgotten silently.
func TestEveryFaultIsScriptedOrListed(t *testing.T) {
	scripted, reasons := map[string]bool{}, notCovered()
	for _, r := range allRows() {
		scripted[r.id] = true
	}
	known := map[string]bool{}
	for _, e := range catalogue(t) {
		known[e.ID] = true
		_, listed := reasons[e.ID]
		assert.True(t, scripted[e.ID] || listed, "%s (%s) has a script or a reason why not", e.ID, e.Trigger)
		assert.False(t, scripted[e.ID] && listed, "%s has a script, and needs no reason why not", e.ID)
	}
	for _, e := range extras() {
		assert.True(t, scripted[e.ID], "%s (%s) has a script", e.ID, e.Trigger)
		assert.True(t, strings.HasPrefix(e.ID, "X-"), "%s is no id of the catalogue", e.ID)
		known[e.ID] = true
	}
	for id := range scripted {
		assert.True(t, known[id], "%s is in the catalogue, or in extras", id)
	}
	for id := range reasons {
		assert.True(t, known[id], "%s is an id of the catalogue", id)
	}
}

// TestRowsHaveNames: a row can be found by its name.
func TestRowsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range allRows() {
		assert.NotEmpty(t, r.rule, "a row of %s says what it checks", r.id)
		assert.False(t, seen[r.name()], "there is one row %q", r.name())
		seen[r.name()] = true
		if r.play == nil {
			assert.Contains(t, []int{1, len(r.recipients())}, len(r.want), "%s wants an outcome for each recipient", r.name())
		}
	}
}

// TestOpenFaultsAreRows: what is not passed yet is the name of a row.
func TestOpenFaultsAreRows(t *testing.T) {
	names := map[string]bool{}
	for _, r := range allRows() {
		names[r.name()] = true
	}
	for name := range openFaults() {
		assert.True(t, names[name], "%q is a row", name)
	}
}
