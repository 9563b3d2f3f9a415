package conformance

import (
	"crypto/tls"
	"strings"
)

// Where needs meet: mail of different policies for the same exchanger, records behind aliases, and contents of all kinds inside TLS.

// meetingRows are messages that must not go by a session that is open already.
func meetingRows() []row {
	keeps := []string{"PIPELINING", "REQUIRETLS"}
	meeting := func(rule string, r row, first, second func(*message), want string) row {
		r.id, r.rule, r.where, r.play = "TLS-15", rule, inMemory, playMeeting(first, second, want)
		r.zone = zoneOf(bothAreAt, "mx1.test. A 192.0.2.1", strings.TrimSpace(stsRecords))
		r.extra = strings.TrimPrefix(r.extra, stsRecords)
		r.to, r.want = []string{"a@one.test"}, all("OK")
		return r
	}
	plainly := func(*message) {}
	privately := func(m *message) { m.private = true }
	laxly := func(m *message) { m.lax, m.content = true, "TLS-Required: No\r\n"+m.content }
	toTwo := func(m *message) { m.to = []string{strings.Replace(m.to[0], "one", "two", 1)} }
	return []row{
		meeting("REQUIRETLS does not ride on an open session without", ruled("", "", selfSigned(), policy("none")), plainly, privately, "P 5.7.30"),
		meeting("REQUIRETLS does not ride on an open plaintext session", ruled("", "", nil, policy("testing", "mx1.test")).but(func(r *row) { r.channel = anyhow }), plainly, privately, "T 4.7.4|4.7.5"),
		meeting("REQUIRETLS goes by an open session that is verified", ruled("", "", &secured{offer: keeps}, enforced()), plainly, privately, "OK"),
		meeting("a policy does not ride on the session of a message that is lax", ruled("", "", selfSigned(), enforced()), laxly, plainly, "T 4.7.5"),
		meeting("a policy does not ride on the session of another domain", ruled("", "", selfSigned(), enforced()), toTwo, plainly, "T 4.7.5"),
		meeting("another domain may go where a policy has failed", ruled("", "", inOrder(), enforced()), plainly, toTwo, "OK"),
		meeting("what fails for a policy does not fail for a message that is lax", ruled("", "", selfSigned(), enforced()), toTwo, laxly, "OK"),
	}
}

// playMeeting sends a message that is delivered, and another one.
func playMeeting(first, second func(*message), want string) func(*play) {
	return func(p *play) {
		a := p.message("Subject: first\r\n\r\nhello\r\n", "a@one.test")
		first(&a)
		if got := p.send(a); got[0].class != "OK" {
			p.fail("the first message: %v (%s)", got[0], got[0].text)
		}
		b := p.message("Subject: second\r\n\r\nhello\r\n", "b@one.test")
		second(&b)
		if got := p.send(b); !got[0].is(want, p.mailer.told()) {
			p.fail("the second message: %v, wanted %s (%s)", got[0], want, got[0].text)
		}
		p.checkChannel()
	}
}

// aliasedRows have their records elsewhere than at the exchanger's name.
func aliasedRows() []row {
	const id = "X-DAN-04"
	at := func(rule string, s *secured, want string, records ...string) row {
		r := signed(id, rule, s)
		r.extra, r.zone, r.want, r.conns, r.then = "", zoneOf(records...), all(want), some, notAsked
		return r
	}
	const good, bad = "TLSA 3 1 1 of:mx1", "TLSA 3 1 1 "
	alias := "mx1.test. CNAME real.test.\nreal.test. A 192.0.2.1"
	oneName := &secured{}
	oneName.order.Names = []string{"one.test"}
	return []row{
		at("the exchanger is an alias: the records of what it stands for", selfSigned(), "OK", bothAreAt, alias, "_25._tcp.real.test. "+good),
		at("the exchanger is an alias: the records of what it stands for do not fit", inOrder(), "T 4.7.5", bothAreAt, alias, "_25._tcp.real.test. "+bad+nulls, "_25._tcp.mx1.test. "+good),
		at("the exchanger is an alias, and its own records do not fit", inOrder(), "T 4.7.5", bothAreAt, alias, "_25._tcp.mx1.test. "+bad+nulls),
		at("the records are an alias", selfSigned(), "OK", bothAreAt, "mx1.test. A 192.0.2.1", "_25._tcp.mx1.test. CNAME tlsa.test.", "tlsa.test. "+good),
		at("the records are an alias, and do not fit", inOrder(), "T 4.7.5", bothAreAt, "mx1.test. A 192.0.2.1", "_25._tcp.mx1.test. CNAME tlsa.test.", "tlsa.test. "+bad+nulls),
		at("the records are an alias of nothing: opportunistic", selfSigned(), "OK", bothAreAt, "mx1.test. A 192.0.2.1", "_25._tcp.mx1.test. CNAME tlsa.test."),
		at("no MX: the records of the domain", selfSigned(), "OK", "one.test. A 192.0.2.1", "two.test. A 192.0.2.1", "_25._tcp.one.test. "+good, "_25._tcp.two.test. "+good),
		at("no MX: the records of the domain do not fit", inOrder(), "T 4.7.5", "one.test. A 192.0.2.1", "two.test. A 192.0.2.1", "_25._tcp.one.test. "+bad+nulls, "_25._tcp.two.test. "+bad+nulls),
		at("DANE-TA, and a certificate for the recipients' domain, whose exchanger it is", oneName, "OK", "one.test. MX 10 mx1.one.test.", "mx1.one.test. A 192.0.2.1", "_25._tcp.mx1.one.test. TLSA 2 0 1 of:mx1").but(func(r *row) { r.to = []string{"a@one.test"} }),
		signed(id, "the other exchanger has no records: it is not bound by those of the best one", inOrder(), "TLSA 3 1 1 "+nulls).but(func(r *row) {
			r.extra, r.tlsNext = "_25._tcp.mx1.test. TLSA 3 1 1 "+nulls+"\n", selfSigned()
			r.want, r.then, r.noMail = all("T 4.7.5"), down, true
		}),
	}
}

// contentRows are contents that go inside TLS as they go in plaintext.
func contentRows() []row {
	const id = "X-TLS-08"
	large := protected(id, "a large content", 1)
	large.large = true
	large.where = inMemory
	slow := protected(id, "a large content, and a server that is slow to read", 1, fault{at: inBody, after: 5000, do: do(pause(30e9))})
	slow.large, slow.where = true, inMemory
	chunks := protected(id, "CHUNKING is offered inside TLS only", 1)
	chunks.tls, chunks.setup.chunkingFrom = &secured{offer: []string{"PIPELINING", "CHUNKING"}}, 1
	many := protected(id, "a hundred recipients, one transaction", 1)
	many.to = manyRecipients(100)
	single := protected(id, "replies come in records of one octet", 1)
	single.manner.gap = 1e6
	literal := row{id: "TLS-16", rule: "an address has no name that could be asked for", where: inMemory, tls: inOrder(), to: []string{"a@[192.0.2.1]"}, want: all("OK"), channel: inTLS,
		zone: zoneOf(bothAreAt), play: playServerName("")}
	old := protected(id, "a large content, in TLS 1.2", 1)
	old.large, old.where, old.tls = true, inMemory, versions(tls.VersionTLS12, tls.VersionTLS12)
	return []row{large, slow, chunks, many, single, literal, old}
}

func manyRecipients(n int) (to []string) {
	for i := range n {
		to = append(to, "u"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)+"@one.test")
	}
	return to
}
