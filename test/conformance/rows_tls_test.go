package conformance

import (
	"crypto/tls"
	"fmt"
	"slices"
	"time"
)

// What goes wrong inside TLS: the server's capabilities, its versions and tickets, records that make no sense, and its ends.

// channelRows are about what TLS does to a session.
func channelRows() []row {
	spoken := func(rule string, s *secured) row {
		r := protected("X-TLS-03", rule, 1)
		r.tls = s
		return r
	}
	again := protected("TLS-13", "STARTTLS is offered again inside TLS: it is not asked for", 1)
	again.tls = &secured{offer: []string{"PIPELINING", "STARTTLS"}}
	forgotten := protected("X-TLS-04", "what was offered before TLS does not count inside: PIPELINING", 1)
	forgotten.tls = &secured{offer: []string{"8BITMIME"}}
	forgotten.careful = true
	gained := protected("X-TLS-04", "what was not offered before TLS counts inside: PIPELINING", 1)
	gained.offer, gained.tls, gained.group = []string{"STARTTLS"}, &secured{offer: []string{"PIPELINING"}}, true
	size := offering("X-TLS-04", "SIZE inside TLS is the one that counts")
	size.offer, size.tls, size.want, size.channel = []string{"STARTTLS", "SIZE 1"}, &secured{offer: []string{"PIPELINING", "SIZE 0"}}, all("OK"), inTLS
	old := missed("X-TLS-03", "TLS 1.0 only, and TLS is demanded", "T 4.7.5", some)
	old.tls = versions(tls.VersionTLS10, tls.VersionTLS10)
	name := row{id: "TLS-16", rule: "an exchanger's name in another script: its A-label is asked for, in lower case", want: all("OK"), channel: inTLS, tls: inOrder(),
		zone: bothOn("XN--bcher-kva.test"), play: playServerName("xn--bcher-kva.test")}
	verified := name
	verified.rule, verified.setup.tls = "the certificate is for the A-label", "verified"
	verified.tls = &secured{}
	verified.tls.order.Names = []string{"xn--bcher-kva.test"}
	plain := row{id: "TLS-16", rule: "the exchanger's name is asked for", want: all("OK"), channel: inTLS, tls: inOrder(), zone: bothOn("mx1.test"), play: playServerName("mx1.test")}
	return []row{
		again, forgotten, gained, size, old, name, verified, plain,
		spoken("TLS 1.0 only: better than plaintext", versions(tls.VersionTLS10, tls.VersionTLS10)),
		spoken("TLS 1.2 only", versions(tls.VersionTLS12, tls.VersionTLS12)),
		spoken("TLS 1.3 only", versions(tls.VersionTLS13, tls.VersionTLS13)),
		spoken("no tickets", with(func(c *tls.Config) { c.SessionTicketsDisabled = true })),
		resuming("a ticket is used on the next connection", inOrder(), true),
		resuming("a ticket of TLS 1.2 is used on the next connection", versions(tls.VersionTLS12, tls.VersionTLS12), true),
		resuming("a server that has forgotten its tickets", with(func(c *tls.Config) {
			c.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { return []byte("forgotten"), nil }
			c.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) { return nil, nil }
		}), false),
	}
}

// bothOn is a zone in which both domains have an exchanger of a name, at 192.0.2.1.
func bothOn(name string) string {
	return zoneOf("one.test. MX 10 "+name+".", "two.test. MX 10 "+name+".", name+". A 192.0.2.1")
}

// playServerName wants every connection to ask for a name.
func playServerName(want string) func(*play) {
	return func(p *play) {
		p.exchange()
		n := 0
		p.best.locked(func() {
			for _, c := range p.best.seen {
				for _, h := range c.hellos {
					if n++; h.ServerName != p.names.text(want) {
						p.fail("the name asked for is %q, wanted %q", h.ServerName, p.names.text(want))
					}
				}
			}
		})
		if n == 0 {
			p.fail("there was no ClientHello")
		}
	}
}

// resuming is a row of two messages, the second one long after the first.
func resuming(rule string, s *secured, want bool) row {
	return row{id: "X-TLS-05", rule: rule, where: inMemory, want: all("OK"), channel: inTLS, tls: s, zone: bothOn("mx1.test"), rest: 5 * time.Minute, then: fresh,
		play: func(p *play) {
			p.exchange()
			p.best.locked(func() {
				if n := len(p.best.seen); n != 2 || p.best.seen[1].channel == nil || p.best.seen[1].channel.DidResume != want {
					p.fail("of %d connections the second one was not as wanted: resumed %v", n, want)
				}
			})
		}}
}

// wreck is what happens to a session of TLS.
type wreck struct {
	rule   string
	silent bool // the client is not moved to write something: a bubble bears that in the middle of the body, too
	common bool // over sockets as well
	acts   []act
}

// wrecks are its ends, and what must be taken for one.
func wrecks() []wreck {
	octets := string(make([]byte, 300))
	return []wreck{
		{rule: "an alert", silent: true, common: true, acts: do(alert(80), leaves)},
		{rule: "an alert, and FIN", silent: true, acts: do(alert(20), fin)},
		{rule: "a storm of KeyUpdates", common: true, acts: do(keyUpdates(300), leaves)},
		{rule: "a storm of empty records", acts: do(emptyRecords(300), leaves)},
		{rule: "plaintext", common: true, acts: do(below("250 2.0.0 ok\r\n"), leaves)},
		{rule: "354 in plaintext", acts: do(below("354 go\r\n"), leaves)},
		{rule: "a record that nobody encrypted", acts: do(below("\x17\x03\x03\x01\x2c"+octets), leaves)},
		{rule: "a record that is too long", acts: do(below("\x17\x03\x03\xff\xff"+octets), leaves)},
		{rule: "half a record, and FIN", silent: true, acts: do(below("\x17\x03\x03\x01\x2c250 ok\r\n"), unclean)},
		{rule: "an alert in plaintext", acts: do(below("\x15\x03\x03\x00\x02\x02\x50"), leaves)},
		{rule: "FIN without close_notify", silent: true, common: true, acts: do(unclean)},
		{rule: "half a reply, and FIN without close_notify", silent: true, acts: do(raw("250 2.0"), unclean)},
		{rule: "close_notify in the middle of a reply", silent: true, acts: do(raw("250 2.0"), shut, leaves)},
		{rule: "RST", silent: true, acts: do(rst)},
		{rule: "another handshake", acts: do(below("\x16\x03\x03\x00\x04\x00\x00\x00\x00"), leaves)},
	}
}

// recordRows wreck a session at each stage. Before the end of data somebody else may have the mail; behind it nobody, for it may have
// arrived: what stands in plaintext there was said by anybody.
func recordRows() (rows []row) {
	wrecked := func(rule, want string, f fault) row {
		r := offering("X-TLS-06", rule, f)
		r.want, r.channel, r.tls, r.tlsNext, r.conns = all(want), inTLS, &secured{sealed: true}, inOrder(), some
		return r
	}
	for _, w := range wrecks() {
		for _, at := range []stage{atMail, atRcpt, atData} {
			r := wrecked(fmt.Sprintf("%s in place of the reply to %s", w.rule, at), "T", fault{at: at, times: always, do: w.acts})
			if at != atData || !w.common {
				r.where = inMemory
			}
			rows = append(rows, r)
		}
		body := wrecked(w.rule+" in the middle of the body", "T", fault{at: inBody, after: 1000, times: always, do: w.acts})
		body.large = true
		switch {
		case w.silent:
			body.where = inMemory
			rows = append(rows, body)
		case w.common:
			body.where = onSockets // the client's reader waits for a lock of crypto/tls that its writer holds, which a bubble cannot see
			body.faults[0].do = append(slices.Clone(w.acts[:len(w.acts)-1]), pauses)
			rows = append(rows, body)
		}
		final := wrecked(w.rule+" in place of the final reply: in doubt", "U", fault{at: atDot, times: always, do: w.acts})
		if !w.common {
			final.where = inMemory
		}
		rows = append(rows, final)
	}
	few := protected("X-TLS-07", "a KeyUpdate now and then", 1, fault{at: atMail, times: always, do: do(keyUpdates(2), say("250 ok"))}, fault{at: atDot, times: always, do: do(keyUpdates(1), say("250 ok"))})
	few.tls = &secured{sealed: true}
	empty := protected("X-TLS-07", "empty records now and then", 1, fault{at: atRcpt, times: always, do: do(emptyRecords(3), say("250 ok"))})
	empty.tls = &secured{sealed: true}
	return append(rows, few, empty)
}

// goodbyeRows are ends of sessions on which all has been said.
func goodbyeRows() []row {
	ended := func(rule string, then then, faults ...fault) row {
		r := protected("TLS-17", rule, 1, faults...)
		r.then = then
		return r
	}
	queued := say("250 2.0.0 queued")
	return []row{
		ended("FIN without close_notify behind the final reply", fresh, fault{at: atDot, do: do(queued, unclean)}),
		ended("FIN with close_notify behind the final reply", fresh, fault{at: atDot, do: do(queued, fin)}),
		ended("FIN without close_notify while nothing is to do", fresh, fault{at: atIdle, do: do(unclean)}),
		ended("an alert while nothing is to do", fresh, fault{at: atIdle, do: do(alert(90), fin)}),
		ended("garbage under TLS while nothing is to do", fresh, fault{at: atIdle, do: do(below("hello"), fin)}),
		ended("RST while nothing is to do", fresh, fault{at: atIdle, do: do(rst)}),
		ended("QUIT is answered by FIN without close_notify", same, fault{at: atQuit, do: do(unclean)}),
		ended("QUIT is answered by 221 and FIN without close_notify", same, fault{at: atQuit, do: do(say("221 bye"), unclean)}),
		ended("QUIT is answered by garbage under TLS", same, fault{at: atQuit, do: do(below("hello"), fin)}),
	}
}
