package conformance

import (
	"fmt"
	"time"
)

// A moment is a place in a dialogue, and what a connection that ends there means.
type moment struct {
	at      stage
	of      string
	partial string // of the reply that was on its way
}

// moments are all of them before the end of data.
func moments() []moment {
	return []moment{
		{at: atGreeting, partial: "220 mx"}, {at: atEhlo, partial: "250-mx.test\r\n250"}, {at: atMail, partial: "250 2.1"}, {at: atRcpt, of: "a@", partial: "2"},
		{at: atRcpt, of: "b@", partial: "250-2.1.5 ok\r\n"}, {at: atRcpt, of: "c@", partial: "250 2.1.5 ok\r"}, {at: atData, partial: "354"},
	}
}

// name is what a moment is called.
func (m moment) name() string {
	if m.of != "" {
		return fmt.Sprintf("%s for %s", m.at, m.of[:1])
	}
	return string(m.at)
}

// after is what becomes of a second message.
func (m moment) after() then {
	if m.at == atGreeting || m.at == atEhlo {
		return down
	}
	return fresh
}

// severedRows are connections that end at every moment, in every way: before the end of data nobody is in doubt.
func severedRows() (rows []row) {
	for _, m := range moments() {
		for _, end := range []struct {
			rule string
			do   []act
		}{
			{"FIN", do(fin)}, {"FIN, and it goes on reading", do(half)}, {"RST", do(rst)},
			{"part of a reply and FIN", do(raw(m.partial), half)}, {"part of a reply and RST", do(raw(m.partial), pause(20*time.Millisecond), rst)},
		} {
			rows = append(rows, row{id: "X-SEV-01", rule: m.name() + ": " + end.rule, want: all("T 4.4.2"), then: m.after(),
				faults: []fault{{at: m.at, of: m.of, do: end.do}}})
			if m.after() == fresh {
				rows = append(rows, row{id: "X-SEV-02", rule: m.name() + ", command by command: " + end.rule, want: all("T 4.4.2"), then: fresh, offer: []string{},
					faults: []fault{{at: m.at, of: m.of, do: end.do}}})
			}
		}
	}
	return append(rows,
		row{id: "X-SEV-03", rule: "HELO: FIN", want: all("T 4.4.2"), then: down, faults: []fault{{at: atEhlo, do: do(say("502 what"))}, {at: atHelo, do: do(half)}}},
		row{id: "X-SEV-03", rule: "HELO: part of a reply and RST", want: all("T 4.4.2"), then: down,
			faults: []fault{{at: atEhlo, do: do(say("502 what"))}, {at: atHelo, do: do(raw("25"), pause(20*time.Millisecond), rst)}}})
}

// shutRows are 421 at every moment: the host goes, and says so (RFC 5321 section 3.8).
func shutRows() (rows []row) {
	for _, m := range moments() {
		for _, end := range []struct {
			rule, outcome string
			do            []act
		}{
			{"421 and FIN", "T 4.3.2", do(say("421 4.3.2 closing"), half)}, {"421 and silence", "T 4.3.2", do(say("421 4.3.2 closing"), hush)},
			{"421 and RST", "T 4.3.2", do(say("421 4.3.2 closing"), pause(50*time.Millisecond), rst)},
			{"421 without an enhanced code", "T 4.0.0|4.3.2", do(say("421 closing"), half)}, {"421 with one of another class", "T 4.0.0|4.3.2", do(say("421 5.7.1 closing"), half)},
			{"421 of several lines", "T 4.3.2", do(say("421-4.3.2 closing", "421 4.3.2 now"), half)},
		} {
			// Over sockets a mailer may be slow to believe a 421 without FIN in the middle of a group.
			inGroup := (m.at == atMail || m.at == atRcpt) && end.rule == "421 and silence"
			rows = append(rows, row{id: "X-421-01", rule: m.name() + ": " + end.rule, want: all(end.outcome), then: m.after(), long: inGroup,
				within: 30 * time.Second, faults: []fault{{at: m.at, of: m.of, do: end.do}}})
		}
	}
	return rows
}

// splitRows are replies whose octets come in two segments, cut everywhere.
func splitRows() (rows []row) {
	replies := []struct {
		at   stage
		of   string
		text string
	}{
		{atGreeting, "", "220-mx\r\n220 go\r\n"}, {atEhlo, "", "250-mx.test\r\n250 PIPELINING\r\n"}, {atMail, "", "250 2.1.0 ok\r\n"},
		{atRcpt, "b@", "450-4.2.0 a\r\n450 4.2.0 b\r\n"}, {atData, "", "354 go\r\n"}, {atDot, "", "250-2.0.0 ok\r\n250 2.0.0\r\n"},
	}
	for _, r := range replies {
		want := all("OK")
		if r.of != "" {
			want = []string{"OK", "T 4.2.0", "OK"}
		}
		for cut := 1; cut < len(r.text); cut++ {
			rows = append(rows, row{id: "X-SPL-01", rule: fmt.Sprintf("%s: behind octet %d of %q", r.at, cut, r.text), where: inMemory, want: want, then: same,
				faults: []fault{{at: r.at, of: r.of, do: do(raw(r.text[:cut]), pause(50*time.Millisecond), raw(r.text[cut:]))}}})
		}
	}
	return rows
}
