package conformance

import "time"

// finalRows are what comes behind the end of data: a complete reply decides; anything else is in doubt, and no other host may
// get it.
func finalRows() []row {
	ended := func(id, rule, outcome string, then then, acts ...act) row {
		return row{id: id, rule: rule, want: all(outcome), then: then, faults: []fault{{at: atDot, do: acts}}}
	}
	late := func(rule string, budget, within time.Duration) row {
		r := ended("EOM-04", rule, "U 4.4.2", fresh, hush)
		r.long, r.budget, r.within = true, budget, within
		return r
	}
	return []row{
		ended("EOM-01", "250: delivered", "OK", same, say("250 2.0.0 queued")),
		ended("EOM-01", "251: delivered", "OK", same, say("251 2.0.0 queued elsewhere")),
		ended("EOM-01", "4xx: the next host; the session goes on behind RSET", "T 4.3.0", same, say("451 4.3.0 later")),
		ended("EOM-01", "5xx: final", "P 5.6.0", same, say("554 5.6.0 spam")),
		ended("EOM-01", "552 behind the end of data is final", "P 5.2.2", same, say("552 5.2.2 full")),
		ended("EOM-01", "452 behind the end of data is not too many recipients", "T 4.5.3", same, say("452 4.5.3 too many")),
		{id: "EOM-04", rule: "a reply after nine and a half minutes is waited for, if there is time", where: inMemory, long: true, want: all("OK"), then: same,
			budget: 1200 * time.Second, faults: []fault{{at: atDot, do: do(pause(570*time.Second), say("250 ok"))}}},
		{id: "EOM-04", rule: "a reply after 530 s is waited for", where: inMemory, long: true, want: all("OK"), then: same,
			faults: []fault{{at: atDot, do: do(pause(530*time.Second), say("250 ok"))}}},
		late("no reply for ten minutes", 1200*time.Second, 603*time.Second),
		{id: "EOM-04", rule: "no reply until the budget ends", where: inMemory, long: true, want: all("U 4.4.2"), then: fresh, within: 540 * time.Second,
			faults: []fault{{at: atDot, do: do(hush)}}},
		ended("EOM-05", "FIN", "U 4.4.2", fresh, fin),
		ended("EOM-05", "FIN, and it goes on reading", "U 4.4.2", fresh, half),
		ended("EOM-05", "RST", "U 4.4.2", fresh, rst),
		ended("EOM-07", "half a reply, then FIN", "U 4.4.2", fresh, raw("250 2.0.0 queu"), half),
		ended("EOM-07", "a reply without its line end, then FIN", "U 4.4.2", fresh, raw("250 2.0.0 queued as 17"), fin),
		ended("EOM-07", "a reply that ends in CR, then FIN", "U 4.4.2", fresh, raw("250 2.0.0 queued\r"), half),
		ended("EOM-07", "the first of two lines, then FIN", "U 4.4.2", fresh, raw("250-2.0.0 queued\r\n"), half),
		ended("EOM-07", "half a refusal, then FIN", "U 4.4.2", fresh, raw("554 5.6"), half),
		ended("EOM-07", "half a reply, then RST", "U 4.4.2", fresh, raw("250 2.0.0 queu"), rst),
		ended("EOM-09", "354", "U 4.5.0", fresh, say("354 go"), hush),
		ended("EOM-09", "850", "U 4.5.0", fresh, say("850 x"), hush),
		ended("EOM-09", "111", "U 4.5.0", fresh, say("111 x"), hush),
		ended("EOM-09", "garbage", "U 4.5.0", fresh, say("hello"), hush),
		ended("EOM-09", "garbage in front of 250", "U 4.5.0", fresh, say("hello", "250 ok"), hush),
		ended("EOM-10", "421 behind 250", "OK", fresh, say("250 ok", "421 closing"), hush),
		ended("EOM-10", "421 and FIN behind 250", "OK", fresh, say("250 ok", "421 closing"), fin),
		ended("EOM-10", "FIN behind 250", "OK", fresh, say("250 ok"), half),
		ended("EOM-10", "RST behind 250", "OK", fresh, say("250 ok"), pause(50*time.Millisecond), rst),
		ended("EOM-11", "a reply for each recipient", "OK", fresh, say("250 a", "250 b", "250 c"), hush),
		ended("EOM-11", "a reply for each recipient, and they differ: the first decides", "OK", fresh, say("250 a", "550 b", "450 c"), hush),
		ended("EOM-11", "the first of several is a refusal", "P 5.1.1", fresh, say("550 5.1.1 a", "250 b", "250 c"), hush),
		ended("EOM-12", "421 and FIN: not taken, not in doubt", "T 4.3.2", fresh, say("421 4.3.2 bye"), fin),
		ended("EOM-12", "421 and no FIN", "T 4.3.2", fresh, say("421 4.3.2 bye"), hush),
		{id: "EOM-14", rule: "250 for the group: only the accepted are delivered", want: []string{"OK", "T 4.2.0", "P 5.1.1"}, then: same, faults: refusals("450 4.2.0 later", "550 5.1.1 no")},
		{id: "EOM-14", rule: "nothing comes back: only the accepted are in doubt", want: []string{"U 4.4.2", "T 4.2.0", "P 5.1.1"}, then: fresh,
			faults: append(refusals("450 4.2.0 later", "550 5.1.1 no"), fault{at: atDot, do: do(half)})},
		{id: "EOM-14", rule: "refused: only the accepted are", want: []string{"P 5.6.0", "T 4.2.0", "P 5.1.1"}, then: same,
			faults: append(refusals("450 4.2.0 later", "550 5.1.1 no"), fault{at: atDot, do: do(say("554 5.6.0 no"))})},
	}
}
