package conformance

import (
	"crypto/tls"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// What exchangers do wrong up to the end of the handshake. Opportunistic TLS tries it once more with a ClientHello that fits a packet,
// and then goes on in plaintext; where TLS is demanded the exchanger is left.

// tlsRows are all about TLS.
func tlsRows() []row {
	return slices.Concat(offerRows(), refusedTLSRows(), runAheadRows(), stalledRows(), brokenHandshakeRows(), helloRowsTLS(), lateFailureRows(), insistingRows(),
		certificateRows(), channelRows(), recordRows(), goodbyeRows(), daneRows(), unusableRows(), tlsaTroubleRows(), stsRows(), fetchRows(), agedRows(), needRows(), meetingRows(), aliasedRows(), contentRows())
}

// demanded is the setup of those who want TLS everywhere.
func demanded() setup { return setup{tls: "required"} }

// offering is a row whose best exchanger speaks TLS.
func offering(id, rule string, faults ...fault) row {
	return row{id: id, rule: rule, tls: inOrder(), faults: faults}
}

// spared is a row in which the mail goes in plaintext in the end, by so many connections; and so does the next.
func spared(id, rule string, conns int, faults ...fault) row {
	r := offering(id, rule, faults...)
	r.want, r.conns, r.channel, r.then, r.learned = all("OK"), conns, inClear, same, "no TLS"
	return r
}

// missed is a row in which TLS is demanded, and the exchanger left for the want of it.
func missed(id, rule, want string, conns int, faults ...fault) row {
	r := offering(id, rule, faults...)
	r.setup, r.want, r.conns, r.channel, r.then, r.noMail = demanded(), all(want), conns, inTLS, down, true
	return r
}

// protected is a row in which the mail goes inside TLS, by so many connections.
func protected(id, rule string, conns int, faults ...fault) row {
	r := offering(id, rule, faults...)
	r.want, r.conns, r.channel, r.then = all("OK"), conns, inTLS, same
	return r
}

// offerRows are ways of offering STARTTLS, or not.
func offerRows() []row {
	offered := func(rule string, words ...string) row {
		r := protected("TLS-01", rule, 1)
		r.offer = append([]string{"PIPELINING"}, words...)
		return r
	}
	without := row{id: "TLS-01", rule: "STARTTLS is not offered: plaintext", want: all("OK"), then: same, channel: inClear, offer: []string{"PIPELINING"}}
	other := offered("X-STARTTLS is something else: plaintext", "X-STARTTLS", "NOSTARTTLS")
	other.channel = inClear
	return []row{
		without, other,
		{id: "TLS-01", rule: "STARTTLS is not offered, and TLS is demanded", setup: demanded(), tlsNext: inOrder(), want: all("T 4.7.4"), then: down, noMail: true, channel: inTLS},
		{id: "TLS-01", rule: "STARTTLS is not offered, and a certificate is demanded", setup: setup{tls: "verified"}, tlsNext: inOrder(), want: all("T 4.7.4"), then: down, noMail: true, channel: inTLS},
		{id: "TLS-01", rule: "HELO only, and TLS is demanded", setup: demanded(), tlsNext: inOrder(), want: all("T 4.7.4"), then: down, noMail: true, channel: inTLS,
			faults: []fault{{at: atEhlo, times: always, do: do(say("502 what"))}}},
		offered("STARTTLS in lower case", "starttls"),
		offered("STARTTLS with a parameter", "STARTTLS REQUIRED"),
		offered("STARTTLS twice", "STARTTLS", "StartTLS"),
		{id: "TLS-01", rule: "TLS is off: STARTTLS is not asked for", setup: setup{tls: "off"}, tls: inOrder(), want: all("OK"), then: same, channel: inClear,
			faults: []fault{{at: atStartTLS, times: always, do: do(blamed("STARTTLS"), say("220 go"))}}},
	}
}

// refusedTLSRows are replies to STARTTLS other than 220.
func refusedTLSRows() (rows []row) {
	for _, reply := range [][]string{{"454 4.7.0 TLS not available"}, {"454-4.7.0 TLS", "454 4.7.0 not available"}, {"502 5.5.1 what"}, {"501 no"}, {"503 5.5.1 not now"}, {"554 5.7.3 no"}, {"450 later"}} {
		refused := fault{at: atStartTLS, times: always, do: do(say(reply...))}
		plain := spared("TLS-02", "refused by "+reply[0]+": plaintext on the same connection", 1, refused)
		plain.learned = ""
		rows = append(rows, plain, missed("TLS-02", "refused by "+reply[0]+", and TLS is demanded", "T 4.7.4", 1, refused))
	}
	goodbye := fault{at: atStartTLS, times: always, do: do(say("421 4.3.2 bye"), fin)}
	multi := fault{at: atStartTLS, times: always, do: do(say("220-2.0.0 go", "220-2.0.0 on", "220 2.0.0 now"))}
	silent := spared("TLS-02", "silence", 2, fault{at: atStartTLS, times: always, do: do(leaves)})
	silent.long, silent.conns = true, some
	mute := missed("TLS-02", "silence, and TLS is demanded", "T", some, fault{at: atStartTLS, times: always, do: do(leaves)})
	mute.long = true
	garbage := spared("X-TLS-01", "garbage in answer to STARTTLS", some, fault{at: atStartTLS, times: always, do: do(say("hello world"), hush)})
	odd := spared("X-TLS-01", "354 in answer to STARTTLS", some, fault{at: atStartTLS, times: always, do: do(say("354 go"))})
	odd.learned = ""
	well := protected("X-TLS-01", "250 in answer to STARTTLS, and the handshake is awaited", some, fault{at: atStartTLS, times: always, do: do(say("250 go"), awaitsHello)})
	well.channel = anyhow
	none := spared("X-TLS-01", "250 in answer to STARTTLS, and nothing is awaited", some, fault{at: atStartTLS, times: always, do: do(say("250 ok"), bearsAll)})
	none.learned, none.long = "", true // a ClientHello need not look like a line
	return append(rows,
		offering("TLS-02", "421 and FIN: it says nothing of TLS, and the exchanger is left", goodbye).but(func(r *row) {
			r.want, r.channel, r.noMail, r.then = all("T 4.3.2"), inTLS, true, down
		}),
		missed("TLS-02", "421 and FIN, and TLS is demanded", "T 4.7.4|4.3.2", 1, goodbye),
		spared("TLS-02", "FIN in answer to STARTTLS", some, fault{at: atStartTLS, times: always, do: do(half)}),
		spared("TLS-02", "RST in answer to STARTTLS", some, fault{at: atStartTLS, times: always, do: do(rst)}),
		protected("TLS-02", "220 in three lines", 1, multi),
		silent, mute, garbage, odd, well, none)
}

// bearsAll lets whatever follows be no command.
var bearsAll = act{name: "bears all", run: func(s *server) bool { s.lenient = true; return true }}

// awaitsHello goes on with the handshake, whatever was said before.
var awaitsHello = act{name: "awaits a ClientHello", run: func(s *server) bool {
	return s.flush() && s.handshake()
}}

// runAheadRows have octets behind the 220, which stand there before TLS protects anything.
func runAheadRows() (rows []row) {
	for rule, octets := range map[string]string{
		"replies behind the 220 in the same segment": "220 go\r\n250-fake\r\n250 PIPELINING\r\n", "half a reply behind the 220": "220 go\r\n25", "a lone LF behind the 220": "220 go\r\n\n",
		"a second 220": "220 go\r\n220 go\r\n", "what looks like TLS behind the 220": "220 go\r\n\x16\x03\x03\x00\x7a\x02",
	} {
		injected := fault{at: atStartTLS, times: always, do: do(raw(octets), hush)}
		opportunistic := offering("TLS-08", rule, injected)
		opportunistic.want, opportunistic.channel, opportunistic.then, opportunistic.noMail = all("T 4.7.0"), inTLS, down, true
		rows = append(rows, opportunistic, missed("TLS-08", rule+", and TLS is demanded", "T 4.7.0", 1, injected))
	}
	slices.SortFunc(rows, func(a, b row) int { return compareRules(a, b) })
	return rows
}

// stalledRows are handshakes that do not end.
func stalledRows() []row {
	long := func(within time.Duration, r row) row {
		r.long, r.within = true, within
		return r
	}
	stall := fault{at: atHandshake, times: always, do: do(leaves)}
	slow := fault{at: atHandshake, times: always, do: do(trickle(time.Second))}
	stuck := fault{at: atHandshake, times: always, do: do(cutAfter(500, leaves))}
	rows := []row{
		long(125*time.Second, spared("TLS-04", "silence behind the ClientHello", 3, stall)),
		long(125*time.Second, spared("TLS-04", "an octet a second: the deadline is the whole handshake's", 3, slow)),
		long(125*time.Second, spared("TLS-04", "silence in the middle of the handshake", 3, stuck)),
		long(125*time.Second, missed("TLS-04", "silence behind the ClientHello, and TLS is demanded", "T 4.7.5", 2, stall)),
		long(125*time.Second, missed("TLS-04", "an octet a second, and TLS is demanded", "T 4.7.5", 2, slow)),
		protected("TLS-04", "an octet each 10 ms is waited for", 1, fault{at: atHandshake, do: do(trickle(10 * time.Millisecond))}),
	}
	rows[len(rows)-1].where = inMemory
	hasty := spared("TLS-04", "silence behind the ClientHello, and less time than that", some, stall)
	hasty.budget, hasty.want, hasty.stays, hasty.then, hasty.learned, hasty.where, hasty.within = 40*time.Second, all("T"), true, notAsked, "", inMemory, 41*time.Second
	hasty.wantNext = all("T")
	return append(rows, hasty)
}

// breaks are the ways in which a handshake fails at once.
func breaks() map[string]act {
	return map[string]act{
		"FIN": fin, "RST": rst, "an alert": alert(40), "an alert, and FIN": sequence(alert(80), fin), "garbage": sequence(below("\x00\x01\x02 no TLS at all"), leaves),
		"plaintext": sequence(below("554 5.5.1 what\r\n"), leaves), "a record that is too long": sequence(below("\x16\x03\x03\xff\xff"+string(make([]byte, 70000))), leaves),
		"a message that is too long": sequence(below("\x16\x03\x03\x00\x04\x02\xff\xff\xff"), leaves), "FIN in the middle of a record": cutAfter(300, fin),
		"RST in the middle of a record": cutAfter(300, rst), "FIN before the last octet": cutAfter(700, fin), "an empty record": sequence(below("\x16\x03\x03\x00\x00"), leaves),
		"application data": sequence(below("\x17\x03\x03\x00\x07250 ok\n"), leaves),
	}
}

// sequence is several acts as one.
func sequence(acts ...act) act {
	whole := act{name: acts[0].name, run: func(s *server) bool {
		for _, a := range acts {
			if !a.run(s) {
				return false
			}
		}
		return true
	}}
	return whole
}

// brokenHandshakeRows are handshakes that fail, once or always.
func brokenHandshakeRows() (rows []row) {
	for name, act := range breaks() {
		always := fault{at: atHandshake, times: always, do: do(act, leaves)}
		once := protected("X-TLS-02", name+" behind the first ClientHello", 2, fault{at: atHandshake, do: do(act, leaves)})
		rows = append(rows,
			spared("X-TLS-02", name+" behind each ClientHello", 3, always),
			missed("X-TLS-02", name+" behind each ClientHello, and TLS is demanded", "T 4.7.5", 2, always), once)
	}
	slices.SortFunc(rows, func(a, b row) int { return compareRules(a, b) })
	for name, end := range map[string]act{"FIN": fin, "RST": rst} {
		behind := fault{at: atStartTLS, times: always, do: do(say("220 go"), end)}
		rows = append(rows, spared("X-TLS-02", name+" behind the 220", 3, behind), missed("X-TLS-02", name+" behind the 220, and TLS is demanded", "T 4.7.5", 2, behind))
	}
	return append(rows, forgivenRow())
}

// forgivenRow: what TLS taught of a host is forgotten like all that is learned.
func forgivenRow() row {
	r := spared("X-TLS-02", "TLS that failed is tried again after an hour", 3, fault{at: atHandshake, times: 2, do: do(alert(40), fin)})
	r.zone, r.where, r.rest, r.then, r.channel = bothOn("mx1.test"), inMemory, 2*time.Hour, fresh, anyhow
	r.play = func(p *play) {
		p.exchange()
		p.best.locked(func() {
			if p.best.seen[len(p.best.seen)-1].channel == nil {
				p.fail("the message that came two hours later came in plaintext")
			}
		})
	}
	return r
}

// helloRowsTLS fail with a large ClientHello only.
func helloRowsTLS() (rows []row) {
	for name, act := range map[string]act{"FIN": fin, "RST": rst, "an alert": alert(40), "silence": leaves} {
		for what, unfit := range map[string]func(*server) bool{"a post-quantum key share": postQuantum, "a large ClientHello": large} {
			picky := fault{at: atHandshake, when: unfit, times: always, do: do(act, leaves)}
			r := protected("TLS-05", name+" behind "+what+": once more without it", 2, picky)
			r.learned, r.long = "reduced ClientHello", name == "silence"
			need := r
			need.rule, need.setup = r.rule+", where TLS is demanded too", demanded()
			again := r
			again.rule, again.rest, again.then, again.where = r.rule+", and the next connection begins so", 5*time.Minute, fresh, inMemory
			rows = append(rows, r, need, again)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return compareRules(a, b) })
	return rows
}

// lateFailureRows fail when the client believes that it has succeeded, and inside TLS.
func lateFailureRows() []row {
	wants := func(version uint16) *secured {
		return with(func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, version })
	}
	certified := func(r row, version uint16) row { r.tls = wants(version); return r }
	lasting := func(do ...act) fault { return fault{at: atEhloTLS, times: always, do: do} }
	host := func(rule, want string, acts ...act) row {
		r := offering("TLS-10", rule, lasting(acts...))
		r.want, r.channel, r.noMail, r.then = all(want), inTLS, true, down
		return r
	}
	late := host("silence in answer to EHLO inside TLS", "T 4.4.2|4.7.5", leaves)
	late.long = true
	sealed := spared("TLS-12", "an alert in answer to EHLO", 3, lasting(alert(42), leaves))
	sealed.tls = &secured{sealed: true}
	return []row{
		certified(spared("TLS-12", "a certificate is demanded of us, in TLS 1.3", 3), tls.VersionTLS13),
		certified(spared("TLS-12", "a certificate is demanded of us, in TLS 1.2", 3), tls.VersionTLS12),
		certified(missed("TLS-12", "a certificate is demanded of us, and TLS of them", "T 4.7.5", 2), tls.VersionTLS13),
		spared("TLS-12", "FIN in answer to EHLO", 3, lasting(fin)),
		spared("TLS-12", "RST in answer to EHLO", 3, lasting(rst)),
		sealed,
		host("502 to EHLO inside TLS: no HELO there", "T", say("502 5.5.1 what")),
		host("450 to EHLO inside TLS", "T", say("450 4.7.1 later")),
		host("421 to EHLO inside TLS", "T 4.3.2", say("421 4.3.2 bye"), fin),
		host("garbage in answer to EHLO inside TLS", "T 4.5.0", say("hello world"), hush),
		late,
	}
}

// insistingRows refuse mail in plaintext.
func insistingRows() []row {
	inPlain := func(s *server) bool { return s.channel == nil }
	insists := fault{at: atMail, when: inPlain, times: always, do: do(say("530 5.7.0 Must issue a STARTTLS command first"))}
	spoilt := func(n int) fault { return fault{at: atHandshake, times: n, do: do(alert(40), fin)} }
	recovered := protected("TLS-14", "530 in plaintext, where TLS had failed: once more with TLS", 4, spoilt(2), insists)
	hopeless := offering("TLS-14", "530 in plaintext, and TLS fails for ever", spoilt(always), insists)
	hopeless.want, hopeless.conns, hopeless.channel = all("P 5.7.10"), some, inTLS
	notOffered := row{id: "TLS-14", rule: "530 in plaintext, and STARTTLS is not offered: the refusal is final", want: all("P 5.7.0"), then: notAsked, faults: []fault{insists}}
	refused := offering("TLS-14", "530 in plaintext, and STARTTLS is refused", fault{at: atStartTLS, times: always, do: do(say("454 4.7.0 no"))}, insists)
	refused.want, refused.channel, refused.conns = all("T 4.7.4"), inTLS, some // it says that it is for now
	google := fault{at: atRcpt, when: inPlain, times: always, do: do(say("421 4.7.0 TLS required for RCPT domain"), fin)}
	gmail := row{id: "TLS-14", rule: "421 4.7.0 TLS required, and STARTTLS is not offered", want: all("T 4.7.0"), conns: some, faults: []fault{google}}
	return []row{recovered, hopeless, notOffered, refused, gmail}
}

// compareRules orders rows that a map has given.
func compareRules(a, b row) int {
	switch {
	case a.name() < b.name():
		return -1
	case a.name() > b.name():
		return 1
	}
	return 0
}

// versions are the only ones that a server speaks.
func versions(lowest, highest uint16) *secured {
	return with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = lowest, highest })
}

// certificateRows: without a policy no certificate is wrong; with one that demands a verified certificate most are.
func certificateRows() (rows []row) {
	for rule, s := range map[string]*secured{
		"self-signed": selfSigned(), "expired": expired(), "not valid yet": notYet(), "for another name": misnamed(), "of an authority that nobody knows": strangers(),
		"without any name but the common name": nameless(), "padded to 50 KB": {order: mxsim.Order{Padding: 50000}}, "with a chain of 100 certificates": {depth: 100},
	} {
		r := protected("TLS-06", "a certificate "+rule, 1)
		r.tls = s
		rows = append(rows, r)
		if rule == "padded to 50 KB" || rule == "with a chain of 100 certificates" {
			continue
		}
		v := missed("TLS-07", "a certificate "+rule, "T 4.7.5", 1)
		v.tls, v.setup.tls = s, "verified"
		rows = append(rows, v)
	}
	huge := spared("TLS-06", "a certificate of a megabyte is too much", 3)
	huge.tls = &secured{order: mxsim.Order{Padding: 1 << 20}}
	right := protected("TLS-07", "a certificate in order", 1)
	right.setup.tls = "verified"
	between := protected("TLS-07", "a certificate in order, through authorities between", 1)
	between.tls, between.setup.tls = &secured{depth: 3, order: mxsim.Order{OmitRoot: true}}, "verified"
	slices.SortFunc(rows, func(a, b row) int { return compareRules(a, b) })
	return append(rows, huge, right, between)
}
