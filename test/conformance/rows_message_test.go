package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// messageRows are contents and addresses.
func messageRows() []row {
	return slices.Concat(smuggledRows(), dotRows(), shortRows(), longLineRows(), unicodeRows(), memoryRows(), addressRows())
}

// content plays a message that the exchanger must get exactly so: octet by octet, as it goes over the wire.
func content(sent string) func(*play) { return contentAs(sent, hosts.Stuff(sent)) }

// contentAs plays a message and says what must be on the wire up to the end of data.
func contentAs(sent, onWire string) func(*play) {
	return func(p *play) {
		p.got = p.send(p.message(sent, p.row.recipients()...))
		p.checkOutcomes()
		p.checkConnections()
		p.best.locked(func() {
			for _, c := range p.best.seen {
				for _, t := range c.transactions {
					if string(t.body) != onWire {
						p.fail("%d octets arrived, wanted %d: they differ: %s", len(t.body), len(onWire), difference(t.body, onWire))
					}
				}
			}
		})
		if got := p.arrivedAt(p.best); len(got) != len(p.row.recipients()) {
			p.fail("%v have a copy", got)
		}
	}
}

// difference is the place at which octets are others than wanted.
func difference(got []byte, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%q, not %q", got[i:min(i+20, len(got))], want[i:min(i+20, len(want))])
}

// canonical is what a content becomes on its way, octet by octet: a bare LF is CRLF, a bare CR or a NUL is a blank.
func canonical(octets string) string {
	var b bytes.Buffer
	for i := 0; i < len(octets); i++ {
		switch c := octets[i]; {
		case c == '\r' && i+1 < len(octets) && octets[i+1] == '\n':
			b.WriteString("\r\n")
			i++
		case c == '\n':
			b.WriteString("\r\n")
		case c == '\r' || c == 0:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// smuggledRows are contents that lenient receivers take for two messages, if they leave as they came.
func smuggledRows() (rows []row) {
	const forged = "MAIL FROM:<forged@example.org>\r\nRCPT TO:<forged@one.test>\r\nDATA\r\nSubject: forged\r\n\r\nforged\r\n"
	for _, sequence := range []string{
		"\n.\n", "\n.\r", "\n.\r\n", "\r.\r", "\r.\n", "\r.\r\n", "\r\n.\r", "\r\n.\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n", "\r\r\n.\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n",
		"\n\n.\n\n", "\r\n.\x00\n", "\n.\x00\r\n", "\r\n \r.\r\n", "\r\n.\n\r",
	} {
		sent := "Subject: x\r\n\r\ntext" + sequence + forged
		stuffed := hosts.Stuff(canonical(sent))
		r := row{id: "MSG-01", rule: fmt.Sprintf("%q in a content", sequence), want: all("OK"), play: contentAs(sent, stuffed)}
		rows = append(rows, r)
		r.rule, r.play, r.offer, r.setup = r.rule+", by BDAT", contentAs(sent, canonical(sent)), []string{"PIPELINING", "CHUNKING"}, setup{chunkingFrom: 1}
		rows = append(rows, r)
	}
	return rows
}

// dotRows are lines that begin with dots.
func dotRows() []row {
	drift, dots := dottedLines(300<<10), strings.Repeat(".\r\n", 100_000)
	chunked := func(rule, sent string) row {
		return row{id: "MSG-03", rule: rule + ", by BDAT", want: all("OK"), play: contentAs(sent, sent), offer: []string{"PIPELINING", "CHUNKING"}, setup: setup{chunkingFrom: 1}}
	}
	plain := func(rule, sent string) row {
		return row{id: "MSG-03", rule: rule, want: all("OK"), play: content(sent)}
	}
	return []row{
		plain("lines that begin with dots, at every place of a buffer", drift), chunked("lines that begin with dots, at every place of a buffer", drift),
		plain("nothing but dots", dots), chunked("nothing but dots", dots),
		plain("two dots, three dots, and a dot with something behind it", "Subject: x\r\n\r\n..\r\n...\r\n.x\r\n. \r\n.\r\n..x\r\n"),
		plain("a dot at the very begin", ".Subject: x\r\n\r\nx\r\n"),
		spoken("MSG-03", "dots that come from the host one octet at a time", dripped("Subject: x\r\n\r\n.\r\n..\r\nx\r\n.x\r\n.\r\n")),
	}
}

// dottedLines is a content of so many octets in which dots begin lines of all lengths.
func dottedLines(size int) string {
	b := []byte("Subject: dots\r\n\r\n")
	for n := 0; len(b) < size; n++ {
		b = append(append(append(b, '.'), bytes.Repeat([]byte("x"), n%97)...), "\r\n"...)
	}
	return string(b)
}

// dripped plays a content that leaves the host in pieces of one octet.
func dripped(sent string) func(*play) {
	return func(p *play) {
		h := p.connected()
		if h == nil {
			return
		}
		defer h.conn.Close()
		if !p.talk(h, envelope("a@one.test")) {
			return
		}
		for _, c := range []byte(hosts.Stuff(sent) + ".\r\n") {
			h.conn.Write([]byte{c})
			p.world.tick()
		}
		p.talk(h, append(script{"< 250 2.0.0"}, bye()...))
		p.best.locked(func() {
			if got := string(p.best.seen[0].transactions[0].body); got != hosts.Stuff(sent) {
				p.fail("%q arrived, wanted %q", got, hosts.Stuff(sent))
			}
		})
	}
}

// shortRows are contents of next to nothing, and such as end in another way than with CRLF.
func shortRows() []row {
	short := func(rule, sent string) row {
		return row{id: "MSG-04", rule: rule, want: all("OK"), play: content(sent)}
	}
	empty := row{id: "MSG-04", rule: "an empty content", want: all("OK"), play: emptyContent}
	unended := row{id: "MSG-04", rule: "no CRLF at the end: it gets one", where: inMemory, want: all("OK"), play: contentAs("Subject: x\r\n\r\nx", "Subject: x\r\n\r\nx\r\n")}
	endsInCR := row{id: "MSG-04", rule: "CR at the end", where: inMemory, want: all("OK"), play: contentAs("Subject: x\r\n\r\nx\r", "Subject: x\r\n\r\nx \r\n")}
	endsInLF := row{id: "MSG-04", rule: "LF at the end", want: all("OK"), where: inMemory, play: contentAs("Subject: x\r\n\r\nx\n", "Subject: x\r\n\r\nx\r\n")}
	endsInDot := row{id: "MSG-04", rule: "a dot at the end, and no CRLF", want: all("OK"), where: inMemory, play: contentAs("Subject: x\r\n\r\n.", "Subject: x\r\n\r\n..\r\n")}
	return []row{
		empty, unended, endsInCR, endsInLF, endsInDot, short("only a dot", ".\r\n"), short("only CRLF", "\r\n"), short("only two dots", "..\r\n"), short("no header", "\r\nx\r\n"),
		short("no body", "Subject: x\r\n"), short("one octet", "x\r\n"), short("a blank", " \r\n"),
		{id: "MSG-04", rule: "CR CR LF at the end", want: all("OK"), play: contentAs("Subject: x\r\n\r\nx\r\r\n", "Subject: x\r\n\r\nx \r\n")},
	}
}

// emptyContent plays a message of no octets. Its end of data is the lone dot of which exchangers complain elsewhere.
func emptyContent(p *play) {
	content("")(p)
	p.best.locked(func() {
		for _, c := range p.best.seen {
			c.complaints = slices.DeleteFunc(c.complaints, func(s string) bool { return strings.HasPrefix(s, "a lone dot ") })
		}
	})
}

// longLineRows are lines that are longer than any rule has them.
func longLineRows() (rows []row) {
	line := func(id string, n int, header string) row {
		return row{id: id, rule: fmt.Sprintf("%sa line of %d octets", header, n), want: all("OK"), then: same,
			content: "Subject: " + header + "\r\n\r\n" + strings.Repeat("x", n) + "\r\nend\r\n"}
	}
	for _, n := range []int{998, 999, 1000, 10_000, 1_000_000} {
		rows = append(rows, line("MSG-05", n, ""))
	}
	for _, n := range []int{1999, 2000, 2001, 32_768, 70_000} {
		rows = append(rows, line("HST-08", n, ""))
	}
	rows = append(rows, line("MSG-05", 100, "behind a header field of 50,000 octets, "))
	rows[len(rows)-1].content = "Subject: " + strings.Repeat("x", 50_000) + "\r\n\r\nx\r\n"
	refused := line("MSG-05", 10_000, "refused by the exchanger, ")
	refused.want, refused.faults = all("P 5.6.0"), []fault{{at: atDot, do: do(say("554 5.6.0 line too long"))}}
	dots := line("MSG-05", 10_000, "of dots, ")
	dots.content = "Subject: dots\r\n\r\n" + strings.Repeat(".", 100_000) + "\r\n"
	bdat := line("MSG-05", 1_000_000, "by BDAT, ")
	bdat.offer = []string{"PIPELINING", "CHUNKING"}
	return append(rows, refused, dots, bdat)
}
