package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecordsTellWhenTheLastEnvelopeCame(t *testing.T) {
	const records = `{"time":"2026-11-24T12:00:05.000000Z","envelope":"1","to":"a@x","delay":4.5,"delays":{"dns":0}}
{"time":"2026-11-24T12:00:09.000000Z","envelope":"1","to":"b@x","delay":8.5}
{"time":"2026-11-24T12:00:04.000000Z","envelope":"2","to":"c@x","delay":1.25}
{"time":"2026-11-24T12:00:59.000000Z","envelo`
	h, err := parseHandover([]byte(records))
	require.NoError(t, err, "a line that is being written is not read")
	assert.Equal(t, 3, h.records, "a record is a recipient")
	assert.Equal(t, 2, h.envelopes, "an envelope has several")
	assert.Equal(t, time.Date(2026, 11, 24, 12, 0, 2, 75e7, time.UTC), h.last.UTC(), "it was complete its delay before the record, whoever was settled last")
	_, err = parseHandover([]byte("no record\n"))
	assert.ErrorContains(t, err, "no record", "what is no record is told")
}

func TestRecordsAreWaitedFor(t *testing.T) {
	d := &daemon{dir: t.TempDir()}
	_, err := d.handedOver(1)
	assert.ErrorIs(t, err, os.ErrNotExist, "smtpfeed makes the file at its start")
	line := []byte(`{"time":"2026-11-24T12:00:05Z","envelope":"1","delay":1}` + "\n")
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "deliveries.jsonl"), line, 0o600))
	h, err := d.handedOver(1)
	require.NoError(t, err, "all are there")
	assert.Equal(t, 1, h.records)
}
