package conformance

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A script is what a host MTA says over LMTP and what it must hear, a line each, from behind the reply to LHLO on:
//
//	> MAIL FROM:<list@example.org>    is said, with CRLF; lines that follow one another leave in one write
//	>> text                           is said as it is
//	< 250 2.1.0                       the next reply, whose last line begins so
//	<closed                           the connection ends, in order
//
// Names in it are the row's.
type script []string

// envelope are the lines of a message for these recipients, up to the invitation to send the content.
func envelope(to ...string) script {
	s := script{"> MAIL FROM:<list@example.org>", "< 250 2.1.0"}
	for _, a := range to {
		s = append(s, "> RCPT TO:<"+a+">", "< 250 2.1.5")
	}
	return append(s, "> DATA", "< 354")
}

// news are the lines of a whole message, whose recipients are told what replies say.
func news(to []string, replies ...string) script {
	s := append(envelope(to...), "> Subject: news", "> ", "> hello", "> .")
	for _, r := range replies {
		s = append(s, "< "+r)
	}
	return s
}

// bye ends a connection in order.
func bye() script { return script{"> QUIT", "< 221", "<closed"} }

// connected is a connection of a host MTA with the row's program; nil when there is none.
func (p *play) connected() *hostMTA {
	h, err := p.mailer.(*program).connect()
	if err != nil {
		p.fail("the host MTA cannot connect: %v", err)
		return nil
	}
	return h
}

// talk follows a script, as far as what is heard allows.
func (p *play) talk(h *hostMTA, s script) (went bool) {
	out := ""
	for _, line := range p.names.all(s) {
		if text, isLine := strings.CutPrefix(line, "> "); isLine {
			out += text + "\r\n"
			continue
		}
		if text, isRaw := strings.CutPrefix(line, ">> "); isRaw {
			out += text
			continue
		}
		// What smtpfeed has ended the connection over need not be heard whole: what it said is read below.
		io.WriteString(h.conn, out)
		out = ""
		if !p.hear(h, line) {
			return false
		}
	}
	io.WriteString(h.conn, out)
	return true
}

// hear compares what comes with a line of a script.
func (p *play) hear(h *hostMTA, line string) bool {
	if line == "<closed" {
		rest, err := io.ReadAll(h.in)
		if err != nil || len(rest) > 0 {
			p.fail("the connection did not end: %q, %v", rest, err)
		}
		return err == nil
	}
	want := strings.TrimPrefix(line, "< ")
	got, err := h.reply()
	if err != nil || !strings.HasPrefix(got, want) {
		p.fail("heard %q (%v), wanted %q", got, err, want)
		return false
	}
	return true
}

// saying plays scripts, each on a connection of its own; then exchangers must have got these recipients and no others (see at).
func saying(want map[string]string, scripts ...script) func(*play) {
	return func(p *play) {
		for _, s := range scripts {
			h := p.connected()
			if h == nil {
				return
			}
			p.talk(h, s)
			h.conn.Close()
		}
		p.checkPlaces(want)
	}
}

// addressed plays a script; then the best exchanger must have been told these addresses, in the order of the alphabet.
func addressed(want []string, s script) func(*play) {
	return func(p *play) {
		saying(map[string]string{"192.0.2.1": locals(p.names.all(want))}, s)(p)
		var got []string
		p.best.locked(func() {
			for _, c := range p.best.seen {
				for _, t := range c.transactions {
					for _, r := range t.to {
						got = append(got, r.address)
					}
				}
			}
		})
		slices.Sort(got)
		if !slices.Equal(got, p.names.all(want)) {
			p.fail("the exchanger was told %q, wanted %q", got, p.names.all(want))
		}
	}
}

// locals are the local parts of addresses.
func locals(addresses []string) string {
	var all []string
	for _, a := range addresses {
		all = append(all, a[:strings.LastIndexByte(a, '@')])
	}
	return strings.Join(all, " ")
}

// until waits for something that the row's exchangers must see.
func (p *play) until(what string, seen func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); p.world.tick() {
		if seen() {
			return true
		}
	}
	p.fail("it did not come to it that %s", what)
	return false
}

// spoken is a row in which a host MTA speaks, to the program.
func spoken(id, rule string, then func(*play)) row {
	return row{id: id, rule: rule, where: onSockets, cold: true, play: then}
}

// numbered are n recipients at one domain.
func numbered(n int) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("r%05d@one.test", i))
	}
	return to
}
