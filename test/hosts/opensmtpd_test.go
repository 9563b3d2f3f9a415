package hosts

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenSMTPDTellsWhoIsLeftAndWhy(t *testing.T) {
	const line = "46c4c9ed42fd4a80|inet4|mta||a@x.test|alias@c.example|b@c.example|1795326293|1795671893|0|"
	for _, row := range []struct {
		name, rest string
		want       Queued
	}{
		{"put off", "1|pending|399|450 later", Queued{"46c4c9ed", "b@c.example", "450 later", false}},
		{"not tried yet", "0|pending|0|", Queued{"46c4c9ed", "b@c.example", "", true}},
		{"its time has come", "1|pending|-1|450 later", Queued{"46c4c9ed", "b@c.example", "450 later", true}},
		{"under way", "1|inflight|3|450 later", Queued{"46c4c9ed", "b@c.example", "450 later", true}},
		{"held back by a limit", "0|invalid||", Queued{"46c4c9ed", "b@c.example", "", true}},
		{"words with a bar", "1|pending|3|450 a|b", Queued{"46c4c9ed", "b@c.example", "450 a|b", false}},
	} {
		q, err := parseEnvelope(line + row.rest)
		require.NoError(t, err, row.name)
		assert.Equal(t, row.want, q, row.name)
	}
	_, err := parseEnvelope("smtpd is gone")
	assert.Error(t, err, "what is no envelope is told")
}
