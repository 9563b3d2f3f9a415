package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/ledger"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// exampleStatus is a daemon in the middle of a list.
func exampleStatus() Status {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return Status{
		Version: "v1.0.0", PID: 42, Hostname: "lists.example.org", Started: now.Add(-3*time.Hour - 5*time.Second), Now: now, Answers: true,
		Feed: feed.Snapshot{
			Messages: 1, Envelopes: 5, Recipients: 9931, Resolving: 7, Hosts: 2, HostsDown: 1, Sessions: 1, Idle: 0, Saturated: 3,
			RecipientsTotal: 100000, MessagesTotal: 12, Delivered: 90000, Deferred: 60, Failed: 9, Uncertain: 2, Recalled: 40, Unkept: 3, Remembered: 120, Dials: 70, DialsFailed: 1,
			SessionsTotal: 69, TLSSessions: 60, TLSResumed: 20, TLSVerified: 5, TLSFailed: 1, TLSFallbacks: 1, SessionsReused: 800, Transactions: 1000, Pipelined: 700, Piggybacked: 20, Regrouped: 30, Splits: 1,
			HostStates: []feed.HostState{
				{Name: "idle.example", Cap: 2},
				{Name: "down.example", Cap: 1, Down: now.Add(40 * time.Second), Reason: "dial: connection\x1b[2J refused"},
				{Name: "busy.example", Waiting: 9931, Sessions: 1, Cap: 4, Learned: "50 recipients a transaction"},
			},
		},
		DNS:     resolver.Stats{InFlight: 7, Window: 800, Entries: 3000, Questions: 9000, CacheHits: 4000, Retries: 12, Timeouts: 1},
		LMTP:    lmtp.Stats{Connections: 5, Transactions: 5, Bytes: 3 << 20, ConnectionsTotal: 20, Refused: 2},
		Records: RecordCounts{Written: 90069},
		Ledger:  &ledger.Stats{Open: true, Recipients: 130, Bytes: 64 << 10, Kept: 90000, Commits: 700, Dropped: 2, Failures: 1},
		Turned:  1,
	}
}

const exampleText = `smtpfeed v1.0.0 on lists.example.org: serving, process 42, up 3h0m5s

Now
  mail   9931 recipients of 1 message in 5 envelopes; 7 domains looked up
  SMTP   1 session, 0 idle, to 2 hosts known; 1 down, 3 waiting for a session
  DNS    7 questions in flight of 800 at most; 3000 answers cached
  LMTP   5 connections, 5 transactions; 3072 KiB held
  ledger 120 deliveries whose replies may not have been read; 130 recipients in the file, 64 KiB

Since the start
  mail    100000 recipients of 12 messages: 90000 delivered, 60 deferred (2 uncertain), 9 failed
  SMTP    1000 transactions on 69 sessions; 800 reused a session, 700 pipelined, 20 with several domains, 0 chunked, 0 personal
  TLS     60 sessions, 20 resumed, 5 verified; 1 session failed, 1 of them tried again with less
  limits  1 limit met; 0 sessions retired, 0 evicted, 0 found stale; 0 transactions tried again with care
  trouble 1 of 70 dials failed, 0 begun beside a silent one, 0 to probe; 30 recipients moved to another host, 0 to an equal one
  DNS     9000 questions, 4000 from the cache; 12 sent again, 1 without an answer
  LMTP    20 connections, 1 not in lmtp.peers; 2 recipients refused; 0 hosts left early, 0 refused for lack of memory
  ledger  90000 kept in 700 commits; 40 answered from it; 3 told before it had them, 2 dropped, 0 crowded out; 1 failure
  records 90069 written, 0 lost

Hosts
  WAITING  SESSIONS  HOST          STATE
  9931     1 of 4    busy.example  50 recipients a transaction
  0        0 of 1    down.example  down for 40s: dial: connection?[2J refused
  0        0 of 2    idle.example  
`

func TestStatusText(t *testing.T) {
	var w strings.Builder
	exampleStatus().write(&w)
	assert.Equal(t, exampleText, w.String(), "a person can read it, and no peer can write to the terminal")
}

func TestStatusOfManyHosts(t *testing.T) {
	s := exampleStatus()
	for i := range 100 {
		s.Feed.HostStates = append(s.Feed.HostStates, feed.HostState{Name: fmt.Sprintf("h%d.example", i)})
	}
	var w strings.Builder
	s.write(&w)
	assert.Contains(t, w.String(), "and 63 more hosts; smtpfeed status --json has all", "a screen is enough")
}

func TestStatusOfALoopThatHangs(t *testing.T) {
	s := exampleStatus()
	s.Answers = false
	var w strings.Builder
	s.write(&w)
	assert.Contains(t, w.String(), "The delivery loop does not answer", "zeros are not passed off as facts")
	s.Draining = true
	w.Reset()
	s.write(&w)
	assert.Contains(t, w.String(), ": draining, ", "the daemon's state is told")
	assert.Contains(t, w.String(), "Every recipient is settled", "at the end of a drain that is as it should be")
}

func TestAskWithoutAnAdminSocket(t *testing.T) {
	err := ask(Listen{}, "/status", new(strings.Builder))
	require.Error(t, err, "nobody can be asked")
	assert.ErrorContains(t, err, "admin.listen is empty", "the error says why")
}
