package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// fedRun is a run with smtpfeed: 2 s of intake, 1 s of handing over, 1 s of delivery, half a second of replies.
func fedRun() figures {
	f := figures{Wall: 4, Dot: 3, Recipients: 10000, Sessions: 200, Transactions: 200, Questions: 10200, CPU: 3, Memory: 50e6}
	f.hostFigures = hostFigures{Messages: 1, Intake: 2, Empty: 4.5, FeedCPU: 0.5, FeedMemory: 30e6,
		Taking: map[string]float64{"smtpd": 1, "cleanup": 0.5, "qmgr": 0.004}, Giving: map[string]float64{"lmtp": 0.3, ended: -0.1}}
	return f
}

func hostRows() []hostRow {
	alone, quick, with := hostRowOf("Postfix", shipped, 10000, 42), hostRowOf("Postfix", tuned, 10000, 22), hostRowOf("Postfix", fed, 10000, 4)
	alone.runs[0].Intake, quick.runs[0].Intake = 2, 2
	with.runs[0] = fedRun()
	late, left, failed := hostRowOf("Exim", shipped, 10000), hostRowOf("Exim", tuned, 10000), hostRowOf("sendmail", shipped, 10000)
	late.late, left.left, failed.failed = &unfinished{7, 15 * time.Minute, 33}, "1,000 took 100.00 s", errors.New("x")
	slow := hostRowOf("Exim", fed, 10000, 200)
	return []hostRow{alone, quick, with, late, left, slow, failed}
}

// cellsOf are the table's lines behind its head, by column title; of two with the same title the last.
func cellsOf(text string) (all []map[string]string) {
	split := func(line string) []string { return strings.Split(strings.Trim(line, "| "), " | ") }
	lines := strings.Split(text, "\n")
	titles := split(lines[0])
	for _, line := range lines[2:] {
		if !strings.HasPrefix(line, "|") {
			return all
		}
		row := make(map[string]string)
		for i, c := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|") {
			row[titles[i]] = strings.TrimSpace(c)
		}
		all = append(all, row)
	}
	return all
}

func TestHostTable(t *testing.T) {
	text := hostTable(hostRows(), []string{"Postfix 3.7.11", "Exim 4.96"})
	rows := cellsOf(text)
	want := func(i int, title, cell, why string) {
		assert.Equal(t, cell, rows[i][title], "row %d, %s: %s", i, title, why)
	}
	want(2, "list", "10,000", "what was sent")
	want(2, "host", "Postfix", "to whom")
	want(2, "delivers", "with smtpfeed", "and how it went on")
	want(2, "intake", "2.00 s", "until the host had taken it")
	want(2, "last delivery", "4.00 s", "until everybody had it")
	want(2, "since intake", "2.00 s", "which is the part that is not the same for all")
	want(2, "recipients/s", "2,500", "of the whole")
	want(2, "CPU", "3.00 s", "of all processes")
	want(2, "smtpfeed's", "30.0", "each part apart")
	want(2, "as shipped / time", "10.50", "how much longer the host takes alone")
	want(2, "tuned / time", "5.50", "and tuned")
	want(0, "smtpfeed's", "", "nothing is smtpfeed's when there is none")
	want(3, "intake", "33.00 s", "a host that is late took the list nevertheless")
	want(3, "last delivery", "> 900.00 s", "and gave up")
	want(3, "CPU", "", "what it used meanwhile is no figure")
	want(4, "last delivery", "left out", "what was not tried")
	want(5, "as shipped / time", "> 4.50", "at least so much longer")
	want(5, "tuned / time", "", "nobody knows")
	want(6, "last delivery", "failed", "what does not count")
}

func TestNotesSayWhatColumnsCannot(t *testing.T) {
	rows := hostRows()
	text := hostTable(rows, []string{"Postfix 3.7.11", "Exim 4.96"})
	for _, line := range []string{
		"- 10,000: title of 10,000.",
		"- 10,000 to Exim alone, as shipped: ended after 15m0s, when 7 had arrived.",
		"- 10,000 to Exim alone, tuned: left out, as 1,000 took 100.00 s.",
		"- 10,000 to sendmail alone, as shipped: failed.",
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.NotContains(t, text, "Postfix alone", "who has nothing to be told has no line")
	assert.Contains(t, rows[5].note(rows), "One round only.", "what took long was not repeated")
	assert.Contains(t, text, "Exim 4.96.\n", "the versions are told")

	cut := hostRowOf("Exim", tuned, 10000, 4)
	cut.runs[0].Messages, cut.hosted.kind.most = 100, map[way]bound{tuned: {100, "it is quicker so"}}
	assert.Equal(t, "submitted as 100 messages, as it is quicker so.", cut.note(nil), "so is a list in parts, and why")
	cut.hosted.kind.most = nil
	assert.Equal(t, "submitted as 100 messages.", cut.note(nil), "unless it was asked for")
}

func TestTheHostsPartIsTold(t *testing.T) {
	rows := hostRows()
	note := rows[2].note(rows)
	assert.Contains(t, note, "Its queue is empty after 4.50 s: intake 2.00 s (44 %), handing over 1.00 s (22 %), delivery 1.00 s (22 %), noting the replies 0.50 s (11 %).")
	assert.Contains(t, note, "The limit is the host, in intake.", "the largest part is named")
	assert.Contains(t, note, "Most CPU of the host's: smtpd 1.00 s, cleanup 0.50 s during intake, lmtp 0.30 s after it.", "and its programs")
	assert.Contains(t, note, "it takes 20.00 times as long alone, as shipped, 10.00 times as long alone, tuned.", "and what smtpfeed gains where it can")

	quick := rows[2]
	quick.runs = []figures{fedRun()}
	quick.runs[0].Wall, quick.runs[0].Empty = 9, 9.1
	assert.Contains(t, quick.note(nil), "The host is not the limit.", "where delivery takes longest")
	assert.NotContains(t, quick.note(nil), "From the end", "without others there is nothing to compare")
}

func TestPartsAreNeverNegative(t *testing.T) {
	r := hostRowOf("x", fed, 10, 2)
	r.runs[0].Intake, r.runs[0].Dot, r.runs[0].Empty = 3, 3, 2.5 // everybody has it before the host's 250 is read
	var sum float64
	for _, p := range r.parts() {
		assert.GreaterOrEqual(t, p.seconds, 0.0, p.what)
		sum += p.seconds
	}
	assert.Equal(t, 3.0, sum, "what overlaps is not counted twice")
}

func TestFailuresAreTold(t *testing.T) {
	rows := hostRows()
	assert.EqualError(t, failures(rows), "x", "of each row that failed")
	assert.NoError(t, failures(rows[:6]), "late is no failure")
}

func TestVersionsAreNamedOnce(t *testing.T) {
	assert.Equal(t, "2 cores, Postfix 3.7, Exim 4.96", withVersions("2 cores, Postfix 3.7", []string{"Postfix 3.7", "Exim 4.96"}))
}
