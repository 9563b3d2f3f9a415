package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/lmtp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// exampleRecords are one of each kind: delivered, bounced by the remote, uncertain, and without a host.
func exampleRecords() []lmtp.Record {
	at := time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.FixedZone("JST", 9*3600))
	via := &feed.Via{
		MX: "mx1.example.org", Addr: netip.MustParseAddrPort("[2001:db8::1]:25"), Source: netip.MustParseAddr("2001:db8::99"),
		TLS: "TLSv1.3 TLS_AES_128_GCM_SHA256", Session: 17, Transaction: 4711, Recipients: 100, Reused: true,
		Connect: 52 * time.Millisecond, Transfer: 1234567 * time.Microsecond,
	}
	delivered := &feed.Outcome{Class: feed.Delivered, Status: wire.Enhanced{Class: 2}, Reply: wire.Reply{Code: 250, Enhanced: wire.Enhanced{Class: 2}, Text: "queued as ABC"}, Via: via}
	failed := &feed.Outcome{Class: feed.Failed, Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 1}, Reply: wire.Reply{Code: 550, Text: "no \"such\" user\x1b[2J\nsecond\\line"}, Via: via}
	uncertain := &feed.Outcome{Class: feed.Deferred, Uncertain: true, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 2}, Err: errors.New("connection lost\r\nafter the dot"), Via: via}
	nowhere := &feed.Outcome{Class: feed.Failed, Status: wire.Enhanced{Class: 5, Subject: 1, Detail: 2}, Err: errors.New("no such domain")}
	record := func(to, domain string, o *feed.Outcome) lmtp.Record {
		return lmtp.Record{Time: at, Envelope: "a1-2", QueueID: "4XyZ", From: "list@example.net", To: to, Domain: domain, Settlement: feed.Settlement{
			Outcome: o, Attempts: 2, DNS: 30 * time.Millisecond, Wait: 5 * time.Microsecond, Total: 61*time.Second + 7*time.Microsecond,
		}}
	}
	return []lmtp.Record{
		record("a@example.org", "example.org", delivered),
		record("b@example.org", "example.org", delivered),
		record(`"c \"d\""@example.org`, "example.org", failed),
		record("jos\u00e9\u202e@b\u00fccher.example", "xn--bcher-kva.example", uncertain),
		record("e@nowhere.example", "nowhere.example", nowhere),
	}
}

func TestRecordsGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.jsonl")
	r, err := openRecords(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err, "the file is opened")
	r.write(exampleRecords()[:3])
	r.write(exampleRecords()[3:])
	r.close()
	got, err := os.ReadFile(path)
	require.NoError(t, err, "the file is there")
	const golden = "testdata/records.jsonl"
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o644), "the golden file is written")
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "the golden file is there")
	assert.Equal(t, string(want), string(got), "the records are those of the golden file")
	info, err := os.Stat(path)
	require.NoError(t, err, "the file is there")
	assert.Zero(t, info.Mode().Perm()&^0o640, "addresses are readable for the owner and the group alone")
}

func TestRecordKeys(t *testing.T) {
	want := strings.Fields("time envelope queue_id from to domain outcome uncertain code enhanced reply mx addr port source tls tls_policy tls_verified session transaction recipients reused attempts delay delays")
	for _, r := range exampleRecords() {
		var e encoder
		e.reset()
		e.add(&r)
		d := json.NewDecoder(bytes.NewReader(e.take()[1:]))
		var keys []string
		depth := 0
		for tok, err := d.Token(); err == nil; tok, err = d.Token() {
			switch v := tok.(type) {
			case json.Delim:
				depth += map[json.Delim]int{'{': 1, '}': -1}[v]
				continue
			case string:
				if depth == 1 {
					keys = append(keys, v)
				}
			}
			if depth == 1 { // the value of that key
				if more, err := d.Token(); err == nil && more == json.Delim('{') {
					depth++
				}
			}
		}
		assert.Equal(t, want, keys, "the keys and their order are fixed, whatever the outcome")
	}
}

func TestRecordsSurviveTheirFile(t *testing.T) {
	t.Run("a missing directory is a mistake in the configuration", func(t *testing.T) {
		_, err := openRecords(filepath.Join(t.TempDir(), "none", "d.jsonl"), slog.New(slog.DiscardHandler))
		assert.ErrorContains(t, err, "set log.deliveries", "the error says what to do")
	})
	t.Run("a directory is no file", func(t *testing.T) {
		_, err := openRecords(t.TempDir(), slog.New(slog.DiscardHandler))
		assert.ErrorIs(t, err, errNotRegular, "the error says what is wrong")
	})
	t.Run("a full disk is told once, counted, and over when it is over", func(t *testing.T) {
		var log bytes.Buffer
		r, err := openRecords("/dev/full", slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err, "opening succeeds")
		r.write(exampleRecords())
		r.write(exampleRecords())
		written, lost := r.counts()
		assert.Zero(t, written, "nothing was written")
		assert.EqualValues(t, 2*len(exampleRecords()), lost, "every record is counted as lost")
		assert.Equal(t, 1, strings.Count(log.String(), "cannot be written"), "the outage is told once:\n%s", &log)

		path := filepath.Join(t.TempDir(), "d.jsonl")
		require.NoError(t, r.reopen(path), "another file is opened")
		r.write(exampleRecords())
		written, _ = r.counts()
		assert.EqualValues(t, len(exampleRecords()), written, "records are written again")
		assert.Contains(t, log.String(), "written again", "and that is told")
	})
	t.Run("a line torn by a full disk is ended before the next", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "d.jsonl")
		require.NoError(t, os.WriteFile(path, []byte(`{"time":"20`), 0o600), "a torn line stands in the file")
		r, err := openRecords(path, slog.New(slog.DiscardHandler))
		require.NoError(t, err, "the file is opened")
		r.write(exampleRecords()[:1])
		r.write(exampleRecords()[:1])
		lines := readLines(t, path)
		require.Len(t, lines, 3, "the torn line and two records")
		assert.True(t, json.Valid([]byte(lines[1])) && json.Valid([]byte(lines[2])), "the records stand on lines of their own")
	})
	t.Run("logrotate moves the file away", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "d.jsonl")
		r, err := openRecords(path, slog.New(slog.DiscardHandler))
		require.NoError(t, err, "the file is opened")
		r.write(exampleRecords())
		require.NoError(t, os.Rename(path, path+".1"), "the file is moved")
		r.write(exampleRecords())
		require.NoError(t, r.reopen(path), "the file is opened anew")
		r.write(exampleRecords())
		assert.Len(t, readLines(t, path+".1"), 2*len(exampleRecords()), "until then the old file is written")
		assert.Len(t, readLines(t, path), len(exampleRecords()), "then the new one")
	})
	t.Run("a new file that cannot be opened leaves the old one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "d.jsonl")
		r, err := openRecords(path, slog.New(slog.DiscardHandler))
		require.NoError(t, err, "the file is opened")
		require.Error(t, r.reopen("/nonexistent/d.jsonl"), "the new one is refused")
		r.write(exampleRecords())
		assert.Len(t, readLines(t, path), len(exampleRecords()), "the old one is written on")
	})
	t.Run("a large batch keeps memory small", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "d.jsonl")
		r, err := openRecords(path, slog.New(slog.DiscardHandler))
		require.NoError(t, err, "the file is opened")
		var batch []lmtp.Record
		for len(batch) < 20_000 {
			batch = append(batch, exampleRecords()[0])
		}
		r.write(batch)
		assert.Len(t, readLines(t, path), len(batch), "every record is written")
		assert.Less(t, cap(r.encoder.line), 3*flushAt, "in pieces")
	})
	t.Run("many envelopes end at once", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "d.jsonl")
		r, err := openRecords(path, slog.New(slog.DiscardHandler))
		require.NoError(t, err, "the file is opened")
		var writers sync.WaitGroup
		for range 20 {
			writers.Go(func() { r.write(exampleRecords()) })
			writers.Go(func() { assert.NoError(t, r.reopen(path), "the file is opened anew meanwhile") })
		}
		writers.Wait()
		lines := readLines(t, path)
		assert.Len(t, lines, 20*len(exampleRecords()), "no record is lost")
		for _, line := range lines {
			assert.True(t, json.Valid([]byte(line)), "none stands inside another: %q", line)
		}
	})
	t.Run("off is off", func(t *testing.T) {
		r, err := openRecords("", slog.New(slog.DiscardHandler))
		require.NoError(t, err, "no file is fine")
		r.write(exampleRecords())
		written, lost := r.counts()
		assert.Zero(t, written+lost, "nothing is counted")
	})
}

// readLines are the lines of a file, each of which ended with a line break.
func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err, "the file is there")
	lines := strings.SplitAfter(string(text), "\n")
	require.Empty(t, lines[len(lines)-1], "the last line is complete")
	return lines[:len(lines)-1]
}

func FuzzRecordIsJSON(f *testing.F) {
	f.Add("a@b", "550 no\x1b[2J such \u202e user\xff\"\\", "mx\u2028.example", int64(1234567), uint16(550))
	f.Add("\U0001f600@\U0010ffff", "\r\n{}\x00", "", int64(-1), uint16(0))
	f.Fuzz(func(t *testing.T, to, text, mx string, delay int64, code uint16) {
		r := lmtp.Record{Time: time.Unix(delay%1e9, 0), To: to, From: text, QueueID: mx, Domain: to, Settlement: feed.Settlement{
			Total:   time.Duration(delay),
			Outcome: &feed.Outcome{Reply: wire.Reply{Code: int(code), Text: text}, Err: errors.New(text), Via: &feed.Via{MX: mx, TLS: text}},
		}}
		var e encoder
		e.reset()
		e.add(&r)
		line := e.take()[1:]
		require.Equal(t, 1, bytes.Count(line, []byte("\n")), "a record is one line")
		require.Equal(t, -1, strings.IndexFunc(strings.TrimSuffix(string(line), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }), "nothing in it moves a terminal: %q", line)
		var back struct{ To, From string }
		require.NoError(t, json.Unmarshal(line, &back), "a record is JSON: %q", line)
		require.Equal(t, strings.ToValidUTF8(strings.ToValidUTF8(to, "\ufffd"), ""), collapse(back.To, to), "the address reads back")
	})
}

// collapse gives what was read the form of strings.ToValidUTF8, which makes one U+FFFD of a run of broken octets.
func collapse(got, sent string) string {
	if strings.ToValidUTF8(sent, "") == sent {
		return got
	}
	return strings.ToValidUTF8(sent, "\ufffd")
}

func BenchmarkRecord(b *testing.B) {
	r, err := openRecords("/dev/null", slog.New(slog.DiscardHandler))
	require.NoError(b, err, "the file is opened")
	// As after a transaction of 100 recipients: one outcome for all.
	var batch []lmtp.Record
	for len(batch) < 100 {
		batch = append(batch, exampleRecords()[0])
	}
	for i := range batch {
		batch[i].Settlement.Outcome = batch[0].Settlement.Outcome
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(batch) {
		r.write(batch)
	}
}

func BenchmarkRecordEachItsOwnOutcome(b *testing.B) {
	r, err := openRecords("/dev/null", slog.New(slog.DiscardHandler))
	require.NoError(b, err, "the file is opened")
	var batch []lmtp.Record
	for len(batch) < 100 {
		batch = append(batch, exampleRecords()[0])
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(batch) {
		r.write(batch)
	}
}
