package conformance

import (
	"fmt"
	"strings"
	"time"
)

// greetingRows: what an exchanger may do before MAIL is about the host, never about the mail. Everybody goes to the next
// exchanger, or is deferred, and the host is left alone for a while.
func greetingRows() []row {
	// turned is a row of a greeting with which the host is out of the question.
	turned := func(id, rule, outcome string, acts ...act) row {
		return row{id: id, rule: rule, want: all(outcome), then: down, faults: []fault{{at: atGreeting, do: acts}}}
	}
	rows := []row{
		turned("GRT-01", "421 and FIN: skip the host", "T 4.3.2", say("421 4.3.2 too many connections"), fin),
		turned("GRT-01", "421 and no FIN", "T 4.3.2", say("421 4.3.2 too many connections"), hush),
		turned("GRT-03", "554: a host that takes no mail bounces none", "T 4.3.2", say("554 no SMTP service here"), hush),
		turned("GRT-03", "554 and FIN", "T 4.3.2", say("554 no SMTP service here"), fin),
		turned("GRT-03", "550 5.7.1 for our address", "T", say("550 5.7.1 go away"), hush),
		turned("GRT-03", "521 (RFC 7504): nobody is bounced for one exchanger", "T", say("521 5.3.2 host does not accept mail"), hush),
		turned("GRT-01", "450 and no FIN", "T 4.7.1", say("450 4.7.1 later"), hush),
		turned("GRT-05", "SSH", "T 4.5.0", say("SSH-2.0-OpenSSH_9.2"), hush),
		turned("GRT-05", "HTTP", "T 4.5.0", say("HTTP/1.1 400 Bad Request", "", "no"), hush),
		turned("GRT-05", "binary", "T 4.5.0", raw("\x16\x03\x01\x00\xff\n"), hush),
		turned("GRT-05", "a code of four digits", "T 4.5.0", say("2200 x"), hush),
		turned("GRT-05", "garbage before a real greeting is not skipped", "T 4.5.0", say("* OK IMAP4rev1", "220 mx.test ESMTP"), hush),
		turned("GRT-07", "two million lines", "T 4.5.0", flood("220-x\r\n", 2_000_000)),
		turned("GRT-07", "one line of ten million octets", "T 4.5.0", raw("220 "), flood(strings.Repeat("x", 1000), 10_000)),
		turned("GRT-12", "two greetings in one segment", "T 4.5.0", say("220 a", "220 b"), hush),
		turned("GRT-12", "half a second greeting in the same segment", "T 4.5.0", raw("220 a\r\n22"), hush),
		{id: "GRT-12", rule: "the second greeting instead of the reply to EHLO", want: all("T 4.5.0"), then: down,
			faults: []fault{{at: atEhlo, do: do(say("220 b"), hush)}}},
		{id: "GRT-10", rule: "our own name in the banner is no loop", want: all("OK"), then: same,
			faults: []fault{{at: atGreeting, do: do(say("220 feed.conformance.test ESMTP"))}}},
		{id: "GRT-13", rule: "not an octet before the banner", want: all("OK"), then: same,
			faults: []fault{{at: atConnect, times: always, do: do(quiet(500 * time.Millisecond))}}},
		{id: "GRT-13", rule: "not an octet between the lines of a banner", want: all("OK"), then: same,
			faults: []fault{{at: atGreeting, times: always, do: do(say("220-wait"), quiet(500*time.Millisecond), say("220 go"))}}},
		{id: "X-GRT-01", rule: "a banner of 2xx is one", want: all("OK"), then: same, faults: []fault{{at: atGreeting, do: do(say("250 hello"))}}},
	}
	for _, bare := range []string{"220\r\n", "220 \r\n", "220-\r\n220\r\n"} {
		rows = append(rows, row{id: "GRT-14", rule: fmt.Sprintf("%q", bare), want: all("OK"), then: same,
			faults: []fault{{at: atGreeting, do: do(raw(bare))}}})
	}
	for _, bad := range noReplies() {
		rows = append(rows, turned("X-GRT-02", bad.rule, "T 4.5.0", say(bad.line), hush))
	}
	return append(rows, slowGreetings()...)
}

// slowGreetings are those that take minutes, and those of a PIX firewall.
func slowGreetings() []row {
	single := setup{perTransaction: 1, sessionsPerHost: 1}
	return []row{
		{id: "GRT-08", rule: "silence for 4m59s is waited for", where: inMemory, want: all("OK"), then: same,
			faults: []fault{{at: atConnect, do: do(pause(299 * time.Second))}}},
		{id: "GRT-08", rule: "silence for 4 minutes is waited for", long: true, want: all("OK"), then: same,
			faults: []fault{{at: atConnect, do: do(pause(240 * time.Second))}}},
		{id: "GRT-08", rule: "it delays nobody else's mail", where: inMemory, want: []string{"OK"}, play: playSlowGreeting,
			zone:   "one.test. MX 10 mx1.test.\ntwo.test. MX 10 mx2.test.\nmx1.test. A 192.0.2.1\nmx2.test. A 192.0.2.2\n",
			faults: []fault{{at: atConnect, do: do(pause(299 * time.Second))}}, others: []host{{addr: "192.0.2.2"}}},
		{id: "GRT-09", rule: "an octet a minute: the deadline is the whole reply's", long: true, want: all("T 4.4.2"), then: down,
			within: 302 * time.Second, faults: []fault{{at: atGreeting, do: do(drip(time.Minute, "220 mx1.test ESMTP\r\n"), leaves)}}},
		{id: "GRT-09", rule: "a line a minute: the deadline is the whole reply's", long: true, want: all("T 4.4.2"), then: down,
			within: 302 * time.Second, faults: []fault{{at: atGreeting, do: do(drip(time.Minute/7, strings.Repeat("220-a\r\n", 60)), leaves)}}},
		{id: "GRT-09", rule: "silence", long: true, want: all("T 4.4.2"), then: down, within: 302 * time.Second,
			faults: []fault{{at: atGreeting, do: do(hush)}}},
		{id: "GRT-11", rule: "PIX fixup that swallows EHLO: HELO", want: all("OK"), then: same, careful: true,
			faults: []fault{{at: atGreeting, times: always, do: do(say("220 ******2******0*"))}, {at: atEhlo, times: always, do: do(say("500 what"))}}},
		{id: "GRT-11", rule: "PIX fixup: nothing rides behind an end of data", want: all("OK"), then: same, setup: single,
			faults: []fault{{at: atGreeting, times: always, do: do(say("220 ***2***0**"))},
				{at: atDot, times: always, do: do(quiet(100*time.Millisecond), say("250 ok"))}}},
	}
}

// playSlowGreeting wants the recipient of the quick exchanger told at once.
func playSlowGreeting(p *play) {
	p.got = p.send(p.message(p.content(), "a@one.test", "c@two.test"))
	if p.got[0].class != "OK" || p.got[1].class != "OK" {
		p.fail("not everybody was delivered: %v", p.got)
	}
	if p.got[1].latency > time.Second || p.got[0].latency < 299*time.Second {
		p.fail("they were told after %v and %v", p.got[0].latency, p.got[1].latency)
	}
}
