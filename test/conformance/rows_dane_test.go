package conformance

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// DANE (RFC 7672): what TLSA records demand, and what they cannot.

// nulls is a digest that no certificate has.
var nulls = strings.Repeat("00", 32)

// tlsa are records of mx1.test; the other exchanger's are in order.
func tlsa(records ...string) string {
	b := "_25._tcp.mx2.test. TLSA 3 1 1 of:mx2\n"
	for _, r := range records {
		b += "_25._tcp.mx1.test. " + r + "\n"
	}
	return b
}

// signed is a row in a DNS that is signed.
func signed(id, rule string, s *secured, records ...string) row {
	return row{id: id, rule: rule, setup: setup{dane: true}, signed: true, extra: tlsa(records...), tls: s, channel: inTLS, want: all("OK"), then: same}
}

// untrusted is a signed row whose best exchanger must not get the mail.
func untrusted(id, rule string, s *secured, records ...string) row {
	r := signed(id, rule, s, records...)
	r.want, r.then, r.noMail = all("T 4.7.5"), down, true
	return r
}

// daneRows are records and certificates that go together, or not.
func daneRows() []row {
	const ee, ta = "TLSA 3 1 1 of:mx1", "TLSA 2 0 1 of:mx1"
	var rows []row
	for _, form := range []string{"3 1 1", "3 0 1", "3 1 2", "3 0 2", "3 1 0", "3 0 0", "2 1 1", "2 0 1", "2 1 2", "2 0 0", "2 1 0"} {
		r := signed("X-DAN-01", "TLSA "+form, inOrder(), "TLSA "+form+" of:mx1")
		if form[0] == '2' {
			lonely(&r)
		}
		rows = append(rows, r)
	}
	for rule, s := range map[string]*secured{"self-signed": selfSigned(), "expired": expired(), "for another name": misnamed(), "of an authority that nobody knows": strangers()} {
		rows = append(rows, signed("X-DAN-02", "DANE-EE, and a certificate "+rule+": its key is all that counts", s, ee))
	}
	plain := untrusted("TLS-07", "STARTTLS is not offered to a domain with DANE", nil, "TLSA 3 1 1 "+nulls)
	plain.tls, plain.tlsNext, plain.want = nil, inOrder(), all("T 4.7.4|4.7.5")
	refused := untrusted("TLS-07", "STARTTLS is refused to a domain with DANE", inOrder(), ee)
	refused.want, refused.faults = all("T 4.7.4|4.7.5"), []fault{{at: atStartTLS, times: always, do: do(say("454 4.7.0 not now"))}}
	broken := untrusted("TLS-07", "the handshake fails with a domain with DANE", inOrder(), ee)
	broken.conns, broken.faults = 2, []fault{{at: atHandshake, times: always, do: do(alert(40), fin)}}
	reduced := signed("TLS-05", "a large ClientHello fails with a domain with DANE: once more", inOrder(), ee)
	reduced.conns, reduced.faults = 2, []fault{{at: atHandshake, when: large, times: always, do: do(fin)}}
	return append(rows,
		signed("X-DAN-02", "DANE-TA: the chain is in order, through authorities between", &secured{depth: 2}, ta).but(lonely),
		signed("X-DAN-02", "DANE-TA of an authority that nobody else knows", strangers(), ta).but(lonely),
		signed("X-DAN-03", "one record of several fits", inOrder(), "TLSA 3 1 1 "+nulls, "TLSA 2 1 1 "+nulls, ee).but(lonely),
		signed("X-DAN-03", "a record that fits, among those that are unusable", inOrder(), "TLSA 9 9 9 00", "TLSA 1 1 1 "+nulls, ee),
		signed("X-DAN-03", "thirty records, of which the last one fits", inOrder(), append(manyRecords(29), ee)...),
		untrusted("TLS-07", "no record fits", inOrder(), "TLSA 3 1 1 "+nulls),
		untrusted("TLS-07", "no record fits, though the certificate is in order for everybody else", inOrder(), "TLSA 3 1 1 "+nulls, "TLSA 2 1 1 "+nulls).but(lonely),
		untrusted("TLS-07", "usable records do not fit, and unusable ones do not help", inOrder(), "TLSA 3 1 1 "+nulls, "TLSA 0 0 1 "+nulls),
		untrusted("TLS-07", "DANE-TA, and the certificate is for another name", misnamed(), ta).but(lonely),
		untrusted("TLS-07", "DANE-TA, and the certificate is expired", expired(), ta).but(lonely),
		untrusted("TLS-07", "DANE-TA, and the authority is not in the chain", &secured{order: mxsim.Order{OmitRoot: true}}, "TLSA 2 1 1 "+nulls).but(lonely),
		untrusted("TLS-07", "TLS 1.0 only, and DANE", versions(tls.VersionTLS10, tls.VersionTLS10), ee).but(func(r *row) { r.conns = some }),
		plain, refused, broken, reduced)
}

// but is a row with something changed.
func (r row) but(change func(*row)) row {
	change(&r)
	return r
}

// lonely is a row with records of usage 2, where each domain may have a session of its own: RFC 7672 section 3.2.2 has a certificate
// for the domain do, too.
func lonely(r *row) { r.conns = some }

func manyRecords(n int) (records []string) {
	for i := range n {
		records = append(records, fmt.Sprintf("TLSA 3 1 1 %064x", i+1))
	}
	return records
}

// unusableRows are records of which none can be used: they still say that there is TLS.
func unusableRows() (rows []row) {
	for rule, records := range map[string][]string{
		"without data": {`TYPE52 \# 3 030101`}, "too short": {"TLSA 3 1 1 00ff"}, "too long": {"TLSA 3 1 1 " + nulls + "00"}, "of unknown parameters": {"TLSA 4 1 1 " + nulls, "TLSA 3 2 1 " + nulls, "TLSA 3 1 3 " + nulls},
		"of PKIX usages": {"TLSA 0 0 1 " + nulls, "TLSA 1 1 1 " + nulls}, "full, and no certificate": {"TLSA 3 0 0 00ff00ff"}, "of private usage": {"TLSA 255 255 255 " + nulls},
		"of two octets": {`TYPE52 \# 2 0301`},
	} {
		rows = append(rows,
			signed("POL-03", "records "+rule+": any certificate", strangers(), records...),
			untrusted("POL-03", "records "+rule+", and STARTTLS is not offered", nil, records...).but(func(r *row) { r.tlsNext, r.want = inOrder(), all("T 4.7.4") }))
	}
	return rows
}

// on changes answers about TLSA records of mx1.test, whatever the port.
func on(question string, change func(*dnssim.Answer)) oddity {
	kind, name, _ := strings.Cut(question, " ")
	return func(_ names, asked string, _ bool, a dnssim.Answer) dnssim.Answer {
		if strings.HasPrefix(asked, kind+" ") && (strings.HasSuffix(asked, "."+name) || strings.HasSuffix(asked, " "+name)) {
			change(&a)
		}
		return a
	}
}

// tlsaTroubleRows are answers that are none, and such as DNSSEC does not cover.
func tlsaTroubleRows() []row {
	trouble := func(rule string, change func(*dnssim.Answer)) row {
		r := untrusted("POL-01", rule, inOrder(), "TLSA 3 1 1 of:mx1")
		r.setup.smtp, r.answer, r.conns, r.then = "# TLSA is in trouble here", on("TLSA mx1.test", change), none, notAsked
		return r
	}
	insecure := func(rule, question string) row {
		r := signed("POL-02", rule, inOrder(), "TLSA 3 1 1 "+nulls)
		r.answer = on(question, func(a *dnssim.Answer) { a.AD = false })
		return r
	}
	silent := trouble("silence", func(a *dnssim.Answer) { a.Drop = true })
	silent.where = inMemory
	return []row{
		trouble("SERVFAIL, or bogus", func(a *dnssim.Answer) { *a = dnssim.Answer{RCode: dns.RcodeServerFailure} }),
		trouble("REFUSED", func(a *dnssim.Answer) { *a = dnssim.Answer{RCode: dns.RcodeRefused} }),
		silent,
		trouble("truncated, and TCP says the same", func(a *dnssim.Answer) { *a = dnssim.Answer{RCode: dns.RcodeServerFailure, Truncate: true} }),
		signed("POL-02", "no records: opportunistic", strangers()),
		signed("POL-02", "no records and no STARTTLS: plaintext", nil).but(func(r *row) { r.channel = inClear; r.tlsNext = inOrder() }),
		signed("POL-02", "a certificate in order, and all is signed", inOrder(), "TLSA 3 1 1 of:mx1"),
		insecure("records that are not signed do not count", "TLSA mx1.test"),
		insecure("records of an exchanger whose address is not signed do not count", "A mx1.test"),
		insecure("records of an exchanger that is named by an MX that is not signed: any certificate", "MX one.test").but(func(r *row) { r.to = []string{"a@one.test"} }),
		signed("POL-02", "nobody has asked for DANE: records do not count", inOrder(), "TLSA 3 1 1 "+nulls).but(func(r *row) { r.setup = setup{} }),
		signed("POL-01", "records that last a second are asked for again", inOrder(), "1 TLSA 3 1 1 of:mx1").but(func(r *row) { r.where, r.rest, r.then = inMemory, 10*time.Minute, fresh }),
	}
}
