package killloop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecordNamesTheMessageOnlyWhenItWasDelivered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	lines := []string{
		`{"time":"2026-11-22T09:06:25.087Z","from":"m","to":"a","outcome":"delivered","code":250,"reply":"250 2.0.0 taken as a1-7"}`,
		`{"time":"2026-11-22T09:06:25.087Z","from":"m","to":"b","outcome":"deferred","code":451,"reply":"250 2.0.0 taken as a1-7"}`,
		`{"time":"2026-11-22T09:06:25.087Z","from":"m","to":"c","outcome":"delivered","code":250,"reply":"250 2.0.0 Ok"}`,
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600), "there are records")
	all, torn, err := NewTail(path).Records()
	require.NoError(t, err, "they can be read")
	require.Len(t, all, 3, "every one")
	assert.Zero(t, torn, "whole")
	for i, want := range []string{"a1-7", "", ""} {
		id, ok := all[i].Delivered()
		assert.Equal(t, want, id, "the message of %s", all[i].To)
		assert.Equal(t, want != "", ok, "if any")
	}
}

func TestAnswersAreThoseThatTheHostCouldReadWhole(t *testing.T) {
	const line = `time=2026-11-22T09:06:25.087Z level=INFO msg="lmtp: envelope answered" envelope=o queue_id=DEA1D9A8288 ` +
		`from=r14-0@lists.killloop.example size=209 recipients=94 delivered=94 deferred=0 failed=0 unsettled=0 host_left=false total=240.2ms`
	path := filepath.Join(t.TempDir(), "file")
	lines := []string{
		"WARNING: something else",
		line,
		strings.Replace(line, "host_left=false", "host_left=true", 1),
		strings.Replace(line, "unsettled=0", "unsettled=3", 1),
		line[:120],
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600), "there is a log")
	all, err := NewTail(path).Answers()
	require.NoError(t, err, "it can be read")
	want := Answer{time.Date(2026, 11, 22, 9, 6, 25, 87e6, time.UTC), "o", 94}
	assert.Equal(t, []Answer{want}, all, "one envelope was answered to a host that was there to the end")
}
