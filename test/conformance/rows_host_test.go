package conformance

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// hostRows are what host MTAs and machines do wrong.
func hostRows() []row {
	return slices.Concat(orderRows(), codeRows(), stateRows(), silentHostRows(), deafHostRows(), endingRows(), parameterRows(), againRows(), killedRows(), machineRows())
}

// hostNotCovered are those without a script, and why.
func hostNotCovered() map[string]string {
	return map[string]string{
		"OPS-04": "its world needs limits of its own: test/resources, TestFewDescriptors",
		"OPS-09": "no peer can cause it: feed, TestASessionThatHangsIsGivenUp",
	}
}

// apartZone has an exchanger of its own for each domain.
func apartZone() string {
	return zoneOf("one.test. MX 10 mx1.test.", "two.test. MX 10 mx2.test.", "mx1.test. A 192.0.2.1", "mx2.test. A 192.0.2.2")
}

// orderRows are replies that are known in another order than that of the recipients.
func orderRows() []row {
	hold := make(chan struct{})
	slow := spoken("HST-04", "the second recipient's exchanger is slow: the first one's reply comes at once, and the third one's behind the second one's", nil)
	slow.zone = apartZone()
	slow.others = []host{{addr: "192.0.2.2", faults: []fault{{at: atDot, do: do(held(hold), say("250 2.0.0 slow"))}}}}
	slow.play = func(p *play) {
		h := p.connected()
		if h == nil {
			return
		}
		defer h.conn.Close()
		if p.talk(h, news([]string{"a@one.test", "c@two.test", "b@one.test"}, "250 2.0.0 mx1.test")) {
			close(hold)
			p.talk(h, append(script{"< 250 2.0.0 mx2.test", "< 250 2.0.0 mx1.test"}, bye()...))
		}
		p.checkPlaces(map[string]string{"192.0.2.1": "a b", "192.0.2.2": "c"})
	}
	mixed := spoken("HST-04", "a reply each, in order, whatever becomes of them", saying(map[string]string{"192.0.2.1": "a"}, append(
		news([]string{"b@one.test", "a@one.test", "x@gone.test", "c@one.test"}, "550 5.1.1", "250 2.0.0", "550 5.1.2", "450 4.2.0"), bye()...)))
	mixed.faults = []fault{{at: atRcpt, of: "b@", do: do(say("550 5.1.1 no"))}, {at: atRcpt, of: "c@", times: always, do: do(say("450 4.2.0 later"))}}
	return []row{slow, mixed}
}

// codeRows are exchangers' codes that host MTAs misunderstand in a final reply. That they are told others is looked at for every row,
// in outcomeOfReply.
func codeRows() (rows []row) {
	for _, c := range []struct{ reply, atRcpt, atDot string }{
		{"421 4.3.2 closing", "T 4.3.2", "T 4.3.2"},
		{"521 5.3.2 no mail here", "P 5.3.2", "P 5.3.2"},
		{"556 5.1.10 null MX", "P 5.1.10", "P 5.1.10"},
		{"541 5.7.1 refused", "P 5.7.1", "P 5.7.1"},
		{"471 4.7.1 later", "T 4.7.1", "T 4.7.1"},
		{"550 4.1.1 of two minds", "P 5.0.0", "P 5.0.0"},
		{"450 5.1.1 of two minds", "T 4.0.0", "T 4.0.0"},
		{"550 \x1b[31mred\x07", "P 5.0.0", "P 5.0.0"},
		{"550 5.1.1 " + strings.Repeat("very ", 80) + "long", "P 5.1.1", "P 5.1.1"},
	} {
		rule := fmt.Sprintf("%.22q", c.reply)
		rows = append(rows,
			row{id: "HST-05", rule: rule + " to RCPT", want: all(c.atRcpt), conns: some, faults: []fault{{at: atRcpt, times: always, do: do(say(c.reply))}}},
			row{id: "HST-05", rule: rule + " to the end of data", want: all(c.atDot), conns: some, faults: []fault{{at: atDot, times: always, do: do(say(c.reply))}}})
	}
	return append(rows,
		row{id: "HST-05", rule: "252 to the end of data", want: all("OK"), faults: []fault{{at: atDot, do: do(say("252 2.0.0 perhaps"))}}},
		row{id: "HST-05", rule: "250 without a code of its class to the end of data", want: all("OK"), faults: []fault{{at: atDot, do: do(say("250 5.1.1 fine"))}}})
}

// stateRows are commands at every state, all in one write.
func stateRows() []row {
	at1 := func(who string) map[string]string {
		if who == "" {
			return nil
		}
		return map[string]string{"192.0.2.1": who}
	}
	said := func(rule, arrive string, lines ...string) row {
		return spoken("HST-11", rule, saying(at1(arrive), append(script(lines), bye()...)))
	}
	mail, to := "> MAIL FROM:<list@example.org>", "> RCPT TO:<a@one.test>"
	rest := []string{"> DATA", "< 250", "< 250", "< 250", "< 250", "< 354", "> Subject: x", "> ", "> .", "< 250 2.0.0"}
	return []row{
		said("NOOP at every state", "a", "> NOOP", mail, "> NOOP", to, "> NOOP", "> DATA", "< 250", "< 250", "< 250", "< 250", "< 250", "< 354", "> x", "> .", "< 250 2.0.0", "> NOOP", "< 250"),
		said("RSET before MAIL", "a", append([]string{"> RSET", "> RSET", mail, to}, rest...)...),
		said("RSET behind MAIL: there is no sender", "", mail, "> RSET", to, "> DATA", "< 250", "< 250", "< 503 5.5.1", "< 503 5.5.1"),
		said("RSET behind RCPT: nobody is left", "", mail, to, "> RSET", "> DATA", "< 250", "< 250", "< 250", "< 503 5.5.1"),
		said("RSET, and another message behind it", "b", mail, to, "> RSET", mail, "> RCPT TO:<b@one.test>", "> DATA", "< 250", "< 250", "< 250", "< 250", "< 250", "< 354", "> x", "> .", "< 250 2.0.0"),
		said("LHLO behind RCPT: nobody is left", "", mail, to, "> LHLO again", "> DATA", "< 250", "< 250", "< 250", "< 503 5.5.1"),
		said("LHLO behind MAIL, and another message", "b", mail, "> LHLO again", mail, "> RCPT TO:<b@one.test>", "> DATA", "< 250", "< 250", "< 250", "< 250", "< 354", "> x", "> .", "< 250 2.0.0"),
		said("MAIL in a transaction: the first one goes on", "a b", mail, to, mail, "> RCPT TO:<b@one.test>", "> DATA", "< 250", "< 250", "< 503 5.5.1", "< 250", "< 354", "> x", "> .", "< 250", "< 250"),
		said("RCPT and DATA before MAIL", "a", to, "> DATA", mail, to, "> DATA", "< 503 5.5.1", "< 503 5.5.1", "< 250", "< 250", "< 354", "> x", "> .", "< 250 2.0.0"),
		said("DATA behind recipients that were all refused", "", mail, "> RCPT TO:<a@-x>", "> DATA", "< 250", "< 550", "< 503 5.5.1"),
		said("a content that looks like commands", "a", mail, to, "> DATA", "< 250", "< 250", "< 354", "> RSET", "> MAIL FROM:<forged@example.org>", "> RCPT TO:<forged@one.test>", "> QUIT", "> .", "< 250 2.0.0"),
		said("three messages on one connection", "a b c", slices.Concat(news([]string{"a@one.test"}, "250"), news([]string{"b@one.test"}, "250"), news([]string{"c@one.test"}, "250"))...),
		said("the next message's commands behind the end of data", "a b", mail, to, "> DATA", "< 250", "< 250", "< 354", "> x", "> .", mail, "> RCPT TO:<b@one.test>", "> DATA",
			"< 250 2.0.0", "< 250 2.1.0", "< 250 2.1.5", "< 354", "> y", "> .", "< 250 2.0.0"),
		said("commands that LMTP has not, and none at all", "a", "> EHLO x", "> HELO x", "> what", "> ", "> VRFY a", "> STARTTLS", "< 500", "< 500", "< 50", "< 50", "< 252", "< 50",
			mail, to, "> DATA", "< 250", "< 250", "< 354", "> x", "> .", "< 250 2.0.0"),
		said("BDAT is not offered: its octets are no commands", "a", mail, to, "> BDAT 20 LAST", ">> RSET\r\nQUIT\r\n12345678", "> DATA", "< 250", "< 250", "< 50", "< 354", "> x", "> .", "< 250 2.0.0"),
		spoken("HST-11", "QUIT behind MAIL", saying(nil, append(script{mail, "< 250"}, bye()...))),
		spoken("HST-11", "QUIT behind RCPT", saying(nil, append(script{mail, to, "< 250", "< 250"}, bye()...))),
		spoken("HST-11", "QUIT behind the end of data, in the same write: the reply comes first", saying(at1("a"),
			append(envelope("a@one.test"), "> x", "> .", "> QUIT", "< 250 2.0.0", "< 221", "<closed"))),
		spoken("HST-11", "a host that leaves behind RCPT, and one that leaves behind 354", saying(nil, script{mail, to, "< 250", "< 250"}, envelope("a@one.test"))),
	}
}

// deafHostRows are hosts that do not read what they are told.
func deafHostRows() []row {
	many := numbered(4000)
	deaf := spoken("HST-13", "thousands of replies are not read: others are served, and the replies are all there when they are", nil)
	deaf.setup.smtp = "# some hosts are deaf here"
	deaf.play = func(p *play) {
		h := p.connected()
		if h == nil {
			return
		}
		defer h.conn.Close()
		if !p.talk(h, append(envelope(many...), "> Subject: x", "> ", "> .")) || !p.until("all have a copy", func() bool { return len(p.arrivedAt(p.best)) == len(many) }) {
			return
		}
		saying(map[string]string{"192.0.2.1": "a " + locals(many)}, append(news([]string{"a@one.test"}, "250 2.0.0"), bye()...))(p)
		p.talk(h, append(slices.Repeat(script{"< 250 2.0.0"}, len(many)), bye()...))
	}
	leaves := spoken("HST-13", "a host that leaves with all replies unread: others are served", nil)
	leaves.setup = deaf.setup
	leaves.play = func(p *play) {
		some := many[:500]
		if h := p.connected(); h != nil {
			p.talk(h, append(envelope(some...), "> Subject: x", "> ", "> ."))
			p.until("all have a copy", func() bool { return len(p.arrivedAt(p.best)) == len(some) })
			h.conn.Close()
		}
		saying(map[string]string{"192.0.2.1": "a " + locals(some)}, append(news([]string{"a@one.test"}, "250 2.0.0"), bye()...))(p)
	}
	return []row{deaf, leaves}
}

// endingRows are signals in the middle of transactions.
func endingRows() []row {
	hold, reached := make(chan struct{}), make(chan struct{})
	arrived := act{name: "tells", run: func(*server) bool { close(reached); return true }}
	r := spoken("HST-14", "SIGTERM: the dot in flight finishes, who has not begun is told 451, and so are new transactions", nil)
	r.zone = apartZone()
	r.faults = []fault{{at: atDot, do: do(arrived, held(hold), say("250 2.0.0 just so"))}}
	r.others = []host{{addr: "192.0.2.2", faults: []fault{{at: atConnect, do: do(leaves)}}}}
	r.play = playTerminated(reached, hold)
	return []row{r}
}

// playTerminated ends the program while one recipient's dot is in flight and another one's exchanger has not said a word.
func playTerminated(reached <-chan struct{}, hold chan<- struct{}) func(*play) {
	return func(p *play) {
		own, err := newProcess(p.world.(*sockets), p.row.setup)
		if err != nil {
			p.fail("no process: %v", err)
			return
		}
		p.mailer = own.program
		h, late := p.connected(), p.connected()
		if h == nil || late == nil {
			return
		}
		p.talk(h, append(envelope("a@one.test", "c@two.test"), "> Subject: x", "> ", "> ."))
		<-reached
		own.cmd.Process.Signal(syscall.SIGTERM)
		p.until("new transactions are refused", func() bool {
			reply, err := late.ask("MAIL FROM:<list@example.org>")
			if strings.HasPrefix(reply, "451 4.3.2") || err != nil {
				return true
			}
			_, err = late.ask("RSET")
			return err != nil
		})
		close(hold)
		p.talk(h, script{"< 250 2.0.0", "< 451 4.3.2"})
		h.conn.Close()
		late.conn.Close()
		if err := own.ended(); err != nil {
			p.fail("the end of the process: %v", err)
		}
		p.checkPlaces(map[string]string{"192.0.2.1": "a", "192.0.2.2": ""})
	}
}
