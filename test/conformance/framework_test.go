package conformance

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNamesAreARowsOwn(t *testing.T) {
	n := namesOf(17, false)
	assert.Equal(t, "one.s17.test. MX 10 mx1.s17.test.\nmx1.s17.test. A 127.60.18.1\ns17.test. SOA ns.s17.test. h.s17.test. 1 2 3 4 5",
		n.text("one.test. MX 10 mx1.test.\nmx1.test. A 192.0.2.1\ntest. SOA ns.test. h.test. 1 2 3 4 5"), "zones are renamed")
	assert.Equal(t, []string{"a@one.s17.test"}, n.all([]string{"a@one.test"}), "addresses are too")
	assert.Equal(t, "one.test 192.0.2.1", names{}.text("one.test 192.0.2.1"), "in memory nothing is")
	assert.Equal(t, "s17", labelOf("MX1.S17.test."), "the label is found whatever the case")
	assert.Empty(t, labelOf("example.org."), "a name of somebody else's has none")
	assert.Equal(t, "127.61.1.1", namesOf(250, false).text("192.0.2.1"), "there are addresses for many rows")
	assert.Equal(t, "d3", namesOf(3, true).label, "rows whose domains Postfix looks up itself have another letter")
}

func TestOutcomesAreCompared(t *testing.T) {
	o := outcome{class: "T", status: "4.4.2"}
	for want, is := range map[string]bool{"T": true, "T 4.4.2": true, "T 4.3.2|4.4.2": true, "T 4.4.1": false, "P 4.4.2": false, "OK": false} {
		assert.Equal(t, is, o.is(want, true), "%v is %s", o, want)
	}
	assert.False(t, o.is("U 4.4.2", true), "what is not in doubt is not, where that can be seen")
	assert.True(t, o.is("U 4.4.2", false), "over LMTP it cannot")
}

func TestLMTPRepliesAreJudged(t *testing.T) {
	for line, bad := range map[string]string{
		"250 2.0.0 ok": "", "451 4.4.2 lost": "", "550 5.1.1 no": "", "421 4.3.2 bye": "no code", "250 ok": "no enhanced code", "550 4.1.1 no": "no enhanced code",
		"451 4.4.2 \x1b[31m": "printable", "": "no reply",
	} {
		if o := outcomeOfReply(line); bad == "" {
			assert.Empty(t, o.bad, "%q may be said", line)
		} else {
			assert.Contains(t, o.bad, bad, "%q may not be said", line)
		}
	}
}

// dialogue is what a server answers to lines that come at once, and what it saw.
func dialogue(t *testing.T, h host, lines ...string) (replies []string, seen connection) {
	here, there := net.Pipe()
	x := &exchanger{host: h, scaled: func(d time.Duration) time.Duration { return d }, stop: make(chan struct{}), left: make([]int, len(h.faults))}
	for i := range x.left {
		x.left[i] = 1
	}
	s := newServer(x, there, 1)
	ended := make(chan struct{})
	go func() { defer close(ended); s.serve() }()
	go here.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	in := bufio.NewScanner(here)
	for in.Scan() {
		replies = append(replies, in.Text())
	}
	here.Close()
	<-ended
	require.NotNil(t, s.rec, "the connection was recorded")
	return replies, *s.rec
}

func TestAServerIsPolite(t *testing.T) {
	replies, seen := dialogue(t, host{offer: []string{"PIPELINING"}}, "EHLO me", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "DATA", "Subject: x", "", "..", ".", "QUIT")
	assert.Equal(t, []string{"220 mx.test ESMTP", "250-mx.test", "250 PIPELINING", "250 2.1.0 ok", "250 2.1.5 ok", "354 go", "250 2.0.0 queued", "221 2.0.0 bye"},
		replies, "it says what servers say")
	require.Len(t, seen.transactions, 1, "it saw a transaction")
	assert.Equal(t, []string{"b@y"}, seen.transactions[0].reached(), "whose message has arrived")
	assert.True(t, isWhole(seen.transactions[0].body, "Subject: x\r\n\r\n.\r\n"), "as it was before it was stuffed")
	assert.Len(t, seen.complaints, 2, "octets behind EHLO and DATA, before their replies, are noticed")
}

func TestAServerMisbehaves(t *testing.T) {
	faults := []fault{{at: atRcpt, of: "b@", do: do(say("550 5.1.1 no"))}, {at: atDot, do: do(raw("250 2.0"), fin)}}
	replies, seen := dialogue(t, host{faults: faults}, "EHLO me", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "RCPT TO:<c@y>", "DATA", "Subject: x", ".")
	assert.Equal(t, "250 2.0", replies[len(replies)-1], "as it was told")
	assert.Equal(t, []string{"c@y"}, seen.transactions[0].reached(), "a message without a complete reply may have arrived for whom was accepted")
	replies, seen = dialogue(t, host{faults: []fault{{at: atDot, do: do(say("450 later"), fin)}}}, "EHLO me", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "DATA", "Subject: x", ".")
	assert.Equal(t, "450 later", replies[len(replies)-1], "as it was told")
	assert.Empty(t, seen.transactions[0].reached(), "a message that was refused has not arrived")
}

func TestASilentServerSeesWhatComes(t *testing.T) {
	c := connection{marked: true, faultIn: atMail, after: []byte("RSET\r\n")}
	assert.Contains(t, c.judge()[0], "6 octets were sent after the fault", "a command behind a fault is wrong")
	c.after = []byte("QUIT\r\n")
	assert.Empty(t, c.judge(), "QUIT is not")
	c.silent = true
	assert.Contains(t, c.judge()[0], "did not leave", "a client must leave whom it does not understand")
	c = connection{marked: true, faultIn: inBody, after: []byte("x\r\n.\r\n")}
	assert.Contains(t, c.judge()[0], "end of data left", "a message that was refused in its middle must not be ended")
}

// TestABrokenExpectationFails: a row that cannot fail proves nothing. Each of these is a good row with one thing changed.
func TestABrokenExpectationFails(t *testing.T) {
	lost := func() row {
		return row{id: "X", rule: "good", want: all("U 4.4.2"), then: fresh, faults: []fault{{at: atDot, do: do(half)}}}
	}
	for name, c := range map[string]struct {
		change func(*row)
		says   string
	}{
		"the outcome's class":     {func(r *row) { r.want = all("T 4.4.2") }, "wanted T 4.4.2"},
		"the enhanced code":       {func(r *row) { r.want = all("U 4.5.0") }, "wanted U 4.5.0"},
		"one recipient's":         {func(r *row) { r.want = []string{"U 4.4.2", "OK", "U 4.4.2"} }, "b@one.test"},
		"connections":             {func(r *row) { r.conns = 2 }, "1 connections, wanted 2"},
		"copies":                  {func(r *row) { r.copies = []int{0, 1, 1} }, "a@one.test: 1 copies arrived, wanted 0"},
		"the second message":      {func(r *row) { r.then = same }, "new connections, wanted 0"},
		"a host that is down":     {func(r *row) { r.then = down }, "should be down"},
		"how it is spoken to":     {func(r *row) { r.careful = true }, "in a group of commands"},
		"what is learned":         {func(r *row) { r.learned = "one domain" }, "learned of the host"},
		"no MAIL":                 {func(r *row) { r.noMail = true }, "got MAIL"},
		"how soon it is known":    {func(r *row) { r.within = time.Millisecond }, "wanted at most"},
		"a fault that is not met": {func(r *row) { r.faults = nil }, "OK, wanted U 4.4.2"},
		"what comes after it":     {func(r *row) { r.faults[0] = fault{at: atData, do: do(say("354 go"), watched)} }, "sent after the fault"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := lost()
				c.change(&r)
				w := newMemory(r.link)
				e := startEngine(t, w, r.setup)
				v := (&play{row: r, world: w, mailer: e}).run()
				e.end()
				var texts []string
				for _, p := range v.problems {
					texts = append(texts, p.text)
				}
				assert.Contains(t, strings.Join(texts, "\n"), c.says, "the row fails for it")
			})
		})
	}
}

func TestATableIsPrinted(t *testing.T) {
	r := newReport(asProgram, asPostfix)
	r.add(asProgram, row{id: "EOM-05", rule: "FIN"}, false, nil)
	r.add(asPostfix, row{id: "EOM-05", rule: "FIN"}, true, []problem{{doubled, "two copies"}, {doubled, "two more"}, {"", "a code"}})
	var b strings.Builder
	r.print(&b, []entry{{"EOM-05", "FIN after dot"}, {"TLS-01", "no STARTTLS"}}, map[string]string{"TLS-01": "not built yet"})
	for _, line := range []string{
		"EOM-05    PASS 1     other 1/1 doubled 1                        FIN after dot\n", "Postfix, EOM-05 FIN (with another exchanger): two copies; two more; a code\n",
		"TLS-01   not built yet\n", "2 faults in the catalogue, 1 of them not covered; 0 further ones.\n", "1 rows played, 1 of them otherwise (0 lose mail, 1 double it, 0 bounce it)\n",
	} {
		assert.Contains(t, b.String(), line, "the table says it")
	}
}
