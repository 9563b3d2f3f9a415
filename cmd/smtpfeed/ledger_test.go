package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// leave closes the connection with a reply unread, as a host MTA does that is killed.
func (h *host) leave() {
	h.t.Helper()
	_, err := h.conn.Read(make([]byte, 1))
	require.NoError(h.t, err, "the reply has come")
	h.conn.Close()
}

// A host MTA that dies with replies unread sends the message again, and so does one whose smtpfeed was restarted: nobody who has it gets
// it twice, and the reply says when it was taken.
func TestServeDeliversNothingTwice(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d := w.start(t, w.config(t, ""))
	h := w.host(t)
	h.envelope("a@example.test", "b@example.com")
	d.looksUp(2) // else the first one's reply could be all there is when the host leaves
	h.send(".\r\n")
	h.leave()
	h = w.host(t)
	h.envelope("a@example.test", "b@example.com", "c@example.test")
	h.send(".\r\n")
	assert.Contains(t, h.expect("250"), "said in an earlier attempt: 250", "what was delivered is not delivered again")
	assert.Contains(t, h.expect("250"), "said in an earlier attempt: 250", "nor to the other domain")
	assert.Contains(t, h.expect("250"), "said: 250", "who did not have it gets it")
	assert.Equal(t, 3, w.copies(), "each recipient has one copy")
	status := w.get(t, "status")
	assert.Contains(t, status, "2 answered from it", "status tells:\n%s", status)
	assert.Contains(t, w.page(t, "/metrics"), "\nsmtpfeed_recalled_total 2\n", "and so do the metrics")
	h.goodbye() // which is answered when it is known that all was read

	h = w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	assert.Contains(t, h.expect("250"), "said: 250", "the host MTA had all replies: the same words are another message now")
	require.Equal(t, 4, w.copies(), "and are delivered")
	h.goodbye()
	d.signals <- syscall.SIGTERM
	require.NoError(t, <-d.ended, "the daemon ends")
	d.ended <- nil

	w.start(t, w.config(t, ""))
	h = w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	assert.Contains(t, h.expect("250"), "said: 250", "nobody is owed a reply")
	assert.Equal(t, 5, w.copies(), "delivered")
}

// copies is how many arrived, in however many transactions.
func (w *world) copies() (n int) {
	for _, m := range w.mx.Messages() {
		n += len(m.To)
	}
	return n
}

// goodbye says QUIT, and closes when the goodbye was read.
func (h *host) goodbye() {
	h.say("QUIT", "221")
	h.conn.Close()
}

// What the last process delivered and could not tell is known to the next one.
func TestLedgerOutlivesTheDaemon(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d := w.start(t, w.config(t, ""))
	h := w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	h.leave()
	d.signals <- syscall.SIGTERM
	require.NoError(t, <-d.ended, "the daemon ends")
	d.ended <- nil

	w.start(t, w.config(t, ""))
	h = w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	assert.Contains(t, h.expect("250"), "said in an earlier attempt: 250", "the next process answers from the ledger")
	assert.Len(t, w.mx.Messages(), 1, "and delivers nothing")
	assert.True(t, strings.Contains(readLines(t, w.path("deliveries.jsonl"))[1], `"attempts":0`), "the delivery record shows that nothing was tried")
}

// A ledger that cannot be used is told, and stops no mail.
func TestServeWithoutItsLedger(t *testing.T) {
	tests := []struct {
		rule   string
		damage func(*testing.T, string)
		says   string
	}{
		{"its directory is not there", func(t *testing.T, path string) {}, "make the directory"},
		{"it is a directory", func(t *testing.T, path string) { require.NoError(t, os.MkdirAll(path, 0o700)) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			w := newWorld(t, mxsim.Config{})
			file := w.config(t, "")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			path := w.path("none/ledger.db")
			tt.damage(t, path)
			require.NoError(t, writeFile(file, strings.Replace(string(text), w.path("ledger.db")+`"`, path+`"
wait = "1h"`, 1)))
			d := w.start(t, file)
			h := w.host(t)
			h.envelope("a@example.test")
			h.send(".\r\n")
			h.expect("250") // mail does not wait an hour for what is not there
			status := w.get(t, "status")
			assert.Contains(t, status, "The ledger is not in use", "status raises the alarm:\n%s", status)
			assert.Contains(t, d.log.String(), "level=WARN msg=\"ledger:", "and so does the log")
			assert.Contains(t, d.log.String(), tt.says, "with what to do")
			assert.Contains(t, w.page(t, "/metrics"), "\nsmtpfeed_ledger_open 0\n", "and the metrics")
		})
	}
}
