package conformance

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// MTA-STS (RFC 8461) and REQUIRETLS (RFC 8689). one.test has a policy, two.test has none: what happens to one shall not touch the
// other, though both have the same exchanger.

// ruled is a row in which one.test has a policy.
func ruled(id, rule string, s *secured, text string) row {
	return row{id: id, rule: rule, setup: setup{sts: true}, where: inMemory, extra: stsRecords, tls: s, policies: []policyHost{{domain: "one.test", text: text}},
		want: all("OK"), channel: inTLS, conns: some, then: same}
}

// barred is a ruled row in which the mail for one.test must not go to the best exchanger; that for two.test does.
func barred(id, rule string, s *secured, text string) row {
	r := ruled(id, rule, s, text)
	r.want, r.then = []string{"T 4.7.5", "T 4.7.5", "OK"}, notAsked
	return r
}

// enforced is a policy of one.test that names both exchangers.
func enforced() string { return policy("enforce", "mx1.test", "mx2.test") }

// stsRows are policies, and exchangers that keep to them or do not.
func stsRows() []row {
	const id = "X-STS-01"
	apart := ruled("TLS-15", "a domain with a policy does not ride on a session without: each has its own", inOrder(), enforced())
	apart.conns = 2
	alone := barred("TLS-15", "a domain with a policy does not ride on the session of one without, whose certificate is wrong", selfSigned(), enforced())
	plain := barred("TLS-07", "STARTTLS is not offered, and a policy demands it", nil, enforced())
	plain.tlsNext, plain.want, plain.channel = inOrder(), []string{"T 4.7.4", "T 4.7.4", "OK"}, anyhow
	rows := []row{
		apart, alone, plain,
		ruled(id, "a certificate in order", inOrder(), enforced()),
		ruled(id, "a wildcard for the exchangers", inOrder(), policy("enforce", "*.test")),
		ruled(id, "a policy with CRLF, unknown keys and blanks", inOrder(), strings.ReplaceAll("version:STSv1 \nmode:  enforce\nfuture: key\nmx:mx1.test\nmx: mx2.test\nmax_age: 86400", "\n", "\r\n")),
		ruled(id, "names in capitals", inOrder(), policy("enforce", "MX1.Test", "MX2.TEST")),
		barred(id, "no pattern names the exchanger", inOrder(), policy("enforce", "mx2.test", "other.test")),
		barred(id, "a wildcard stands for one label only", inOrder(), policy("enforce", "*.mx1.test", "mx2.test")),
		barred(id, "a pattern that is the end of a name only", inOrder(), policy("enforce", "x1.test", "mx2.test")),
		barred("TLS-07", "the handshake fails, and a policy demands it", inOrder(), enforced()).but(func(r *row) {
			r.faults, r.channel = []fault{{at: atHandshake, times: always, do: do(alert(40), fin)}}, anyhow
		}),
	}
	for rule, s := range map[string]*secured{"self-signed": selfSigned(), "expired": expired(), "not valid yet": notYet(), "for another name": misnamed(), "of an authority that nobody knows": strangers(), "without names": nameless()} {
		rows = append(rows, barred("TLS-07", "a certificate "+rule+", and a policy", s, enforced()),
			ruled("POL-07", "mode testing, and a certificate "+rule, s, strings.Replace(enforced(), "enforce", "testing", 1)),
			ruled("POL-07", "mode none, and a certificate "+rule, s, strings.Replace(enforced(), "enforce", "none", 1)))
	}
	unnamed := ruled("POL-07", "mode testing, and no pattern names the exchanger", inOrder(), policy("testing", "other.test"))
	clear := ruled("POL-07", "mode testing, and STARTTLS is not offered", nil, policy("testing", "mx1.test"))
	clear.channel = inClear
	dane := ruled("X-STS-02", "DANE goes before a policy: its records fit, though no pattern does", selfSigned(), policy("enforce", "other.test"))
	dane.setup.dane, dane.signed, dane.extra = true, true, stsRecords+tlsa("TLSA 3 1 1 of:mx1")
	strict := ruled("X-STS-02", "DANE goes before a policy: no record fits, though the policy is kept", inOrder(), enforced())
	strict.setup.dane, strict.signed, strict.extra, strict.want, strict.then = true, true, stsRecords+tlsa("TLSA 3 1 1 "+nulls), all("T 4.7.5"), down
	return append(rows, unnamed, clear, dane, strict)
}

// fetchRows are policies that cannot be had: without an older one the mail goes as if there were none.
func fetchRows() (rows []row) {
	failing := func(rule string, change func(*policyHost)) row {
		r := ruled("POL-05", rule, selfSigned(), policy("enforce", "other.test"))
		change(&r.policies[0])
		return r
	}
	status := func(code int) func(*policyHost) {
		return func(h *policyHost) {
			h.serve = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("Location", "https://mta-sts.one.test/.well-known/other.txt")
				w.WriteHeader(code)
				io.WriteString(w, policy("enforce", "other.test"))
			}
		}
	}
	for _, code := range []int{201, 204, 301, 302, 307, 400, 404, 410, 500, 503} {
		rows = append(rows, failing(fmt.Sprint("the policy host says ", code), status(code)))
	}
	rows = append(rows, badPolicyHosts(failing)...)
	for rule, text := range map[string]string{
		"without a version": "mode: enforce\nmx: other.test\nmax_age: 86400\n", "of another version": "version: STSv2\nmode: enforce\nmx: other.test\nmax_age: 86400\n",
		"of an unknown mode": "version: STSv1\nmode: strict\nmx: other.test\nmax_age: 86400\n", "without exchangers": "version: STSv1\nmode: enforce\nmax_age: 86400\n",
		"without max_age": "version: STSv1\nmode: enforce\nmx: other.test\n", "empty": "", "of HTML": "<html>404</html>", "with a max_age that is no number": "version: STSv1\nmode: enforce\nmx: other.test\nmax_age: day\n",
	} {
		rows = append(rows, failing("a policy "+rule, func(h *policyHost) { h.text = text }))
	}
	return append(rows, announcements()...)
}

// badPolicyHosts are web servers with other troubles.
func badPolicyHosts(failing func(string, func(*policyHost)) row) []row {
	answer := func(f http.HandlerFunc) func(*policyHost) { return func(h *policyHost) { h.serve = f } }
	gone := failing("nobody listens", func(*policyHost) {})
	gone.policies = nil
	internal := failing("", func(*policyHost) {})
	internal.id, internal.rule, internal.setup.internal = "POL-09", "the policy host's address is an internal one: it is not asked", "192.0.2.80/32"
	internal.policies[0].serve, internal.play = nil, playUnasked
	internal.zone = zoneOf(bothAreAt, "mx1.test. A 192.0.2.1")
	return []row{gone, internal,
		failing("a certificate of an authority that nobody knows", func(h *policyHost) { h.tls = strangers() }),
		failing("a certificate for another name", func(h *policyHost) { h.tls = misnamed() }),
		failing("a certificate that has expired", func(h *policyHost) { h.tls = expired() }),
		failing("HTML instead of a text", answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, policy("enforce", "other.test"))
		})),
		failing("a policy of 70 KB", answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, policy("enforce", "other.test")+strings.Repeat("x: y\n", 14000))
		})),
		failing("a policy without an end", answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, policy("enforce", "other.test")); err != nil {
					return
				}
			}
		})),
		failing("silence", answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })),
		failing("an octet a second", answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for _, c := range policy("enforce", "other.test") {
				io.WriteString(w, string(c))
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Second):
				}
			}
		})),
	}
}

// playUnasked wants nobody to have asked the policy host.
func playUnasked(p *play) {
	asked := &atomic.Bool{}
	p.web[0].Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	p.exchange()
	if asked.Load() {
		p.fail("the policy host was asked")
	}
}

// announcements are TXT records that announce no policy, or not one.
func announcements() (rows []row) {
	for rule, records := range map[string]string{
		"two records that announce": "_mta-sts.one.test. TXT \"v=STSv1; id=1\"\n_mta-sts.one.test. TXT \"v=STSv1; id=2\"\n", "a record of another kind": "_mta-sts.one.test. TXT \"v=spf1 -all\"\n",
		"a record without an id": "_mta-sts.one.test. TXT \"v=STSv1;\"\n", "an id that is none": "_mta-sts.one.test. TXT \"v=STSv1; id=a-b\"\n", "the version in lower case": "_mta-sts.one.test. TXT \"v=stsv1; id=1\"\n",
	} {
		r := ruled("POL-05", rule+": there is no policy", selfSigned(), policy("enforce", "other.test"))
		r.extra = records + "mta-sts.one.test. A 192.0.2.80\n"
		rows = append(rows, r)
	}
	for rule, records := range map[string]string{
		"a record among others": "_mta-sts.one.test. TXT \"hello\"\n_mta-sts.one.test. TXT \"v=STSv1; id=1;\"\n", "a record in two strings": "_mta-sts.one.test. TXT \"v=STSv1; \" \"id=1;\"\n",
		"an announcement behind an alias": "_mta-sts.one.test. CNAME sts.test.\nsts.test. TXT \"v=STSv1; id=1;\"\n",
	} {
		r := barred("POL-05", rule+": there is one", selfSigned(), enforced())
		r.extra = records + "mta-sts.one.test. A 192.0.2.80\n"
		rows = append(rows, r)
	}
	failing := ruled("POL-05", "SERVFAIL for the announcement: there is no policy", selfSigned(), policy("enforce", "other.test"))
	failing.answer = on("TXT _mta-sts.one.test", func(a *dnssim.Answer) { *a = dnssim.Answer{RCode: dns.RcodeServerFailure} })
	slices.SortFunc(rows, compareRules)
	return append(rows, failing)
}

// agedRows are about a policy that was had once. The first message is in order; before the second one everything is spoilt.
func agedRows() []row {
	aged := func(rule, text string, rest time.Duration, want string) row {
		return row{id: "POL-05", rule: rule, where: inMemory, setup: setup{sts: true}, tls: inOrder(), to: []string{"a@one.test"}, want: all("OK"), conns: some,
			zone: zoneOf(bothAreAt, "mx1.test. A 192.0.2.1", strings.TrimSpace(stsRecords)), policies: []policyHost{{domain: "one.test", text: text}}, rest: rest, play: playSpoilt(want)}
	}
	day := policy("enforce", "mx1.test")
	brief := strings.Replace(day, "86400", "3600", 1)
	return []row{
		aged("an older policy counts while it lasts, when a fetch fails", day, time.Hour, "T 4.7.4"),
		aged("an older policy counts to its last minute", brief, 59*time.Minute, "T 4.7.4"),
		aged("an older policy counts no longer than max_age", brief, 2*time.Hour, "OK"),
	}
}

// playSpoilt delivers a message, lets time pass, has the policy host and STARTTLS fail, and wants another message to have an outcome.
func playSpoilt(want string) func(*play) {
	return func(p *play) {
		p.exchange()
		p.web[0].Close()
		p.best.locked(func() {
			p.best.faults = append(p.best.faults, fault{at: atEhlo, times: always, do: do(say("250 mx.test"))})
			p.best.left = append(p.best.left, always)
		})
		p.rest()
		if got := p.send(p.message("Subject: later\r\n\r\n", "d@one.test")); !got[0].is(want, p.mailer.told()) {
			p.fail("the later message: %v, wanted %s (%s)", got[0], want, got[0].text)
		}
	}
}

// needRows are what messages say of TLS.
func needRows() []row {
	keeps := &secured{offer: []string{"PIPELINING", "REQUIRETLS"}}
	private := func(rule string, s *secured) row {
		r := ruled("X-RTL-01", rule, s, enforced())
		r.private, r.to, r.then, r.tlsNext = true, []string{"a@one.test"}, notAsked, keeps
		return r
	}
	kept := private("REQUIRETLS goes along with the message", keeps)
	kept.faults = []fault{{at: atMail, when: func(s *server) bool { return s.txn == nil || !strings.Contains(s.txn.params, "REQUIRETLS") }, times: always, do: do(blamed("MAIL without REQUIRETLS"), say("250 ok"))}}
	refuse := func(rule string, s *secured) row {
		r := private(rule, s)
		r.want, r.nextMoves, r.noMail = all("P 5.7.30"), true, true
		return r
	}
	dane := signed("X-RTL-01", "REQUIRETLS by way of DANE", &secured{self: true, offer: keeps.offer}, "TLSA 3 1 1 of:mx1")
	dane.private, dane.setup.private, dane.tlsNext, dane.then = true, true, keeps, notAsked
	unruled := private("REQUIRETLS to a domain of which nothing is certain", keeps)
	unruled.extra, unruled.policies, unruled.want, unruled.noMail = "", nil, all("P 5.7.30"), true
	unruled.stays = true
	lax := func(r row) row {
		r.id, r.lax, r.rule = "X-RTL-02", true, "TLS-Required: No, "+r.rule
		r.want, r.channel, r.then, r.noMail = all("OK"), anyhow, notAsked, false
		return r
	}
	return []row{kept, dane, unruled,
		refuse("REQUIRETLS is not offered: refused, and the other exchanger is tried before", inOrder()),
		refuse("REQUIRETLS is offered before TLS only", inOrder()).but(func(r *row) {
			r.offer = []string{"PIPELINING", "STARTTLS", "REQUIRETLS"}
			r.tls = &secured{offer: []string{"PIPELINING"}}
		}),
		private("REQUIRETLS and a certificate that is wrong", &secured{self: true, offer: keeps.offer}).but(func(r *row) { r.want, r.noMail = all("T 4.7.5"), true }),
		private("REQUIRETLS and no STARTTLS", nil).but(func(r *row) { r.want, r.noMail = all("T 4.7.4"), true }),
		lax(barred("", "a certificate that is wrong, and a policy", selfSigned(), enforced())),
		lax(barred("", "no STARTTLS, and a policy", nil, enforced())),
		lax(barred("", "an exchanger that the policy does not name", inOrder(), policy("enforce", "other.test"))),
		lax(untrusted("", "no TLSA record fits", inOrder(), "TLSA 3 1 1 "+nulls)),
		lax(missed("", "TLS is demanded by the configuration, and not to be had", "T 4.7.5", 2, fault{at: atHandshake, times: always, do: do(fin)})).but(func(r *row) {
			r.want, r.noMail, r.where = all("T 4.7.5"), true, inMemory
		}),
	}
}
