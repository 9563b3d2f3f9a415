package conformance

import (
	"strings"
)

// utf8Offer is what an exchanger says that takes addresses beyond ASCII (RFC 6531).
func utf8Offer() []string { return []string{"PIPELINING", "8BITMIME", "SMTPUTF8"} }

// unicodeRows are messages that need SMTPUTF8 or have octets beyond ASCII, and exchangers that take them or do not.
func unicodeRows() []row {
	utf8 := func(to string, replies ...string) script {
		s := script{"> MAIL FROM:<list@example.org> SMTPUTF8", "< 250", "> RCPT TO:<" + to + ">", "< 250", "> DATA", "< 354", "> Subject: x", "> ", "> ."}
		for _, r := range replies {
			s = append(s, "< "+r)
		}
		return append(s, bye()...)
	}
	lacks := spoken("MSG-07", "a local part beyond ASCII, and no SMTPUTF8: final", saying(map[string]string{"192.0.2.1": ""}, utf8("ü@one.test", "550 5.6.7")))
	lacks.noMail = true
	takes := spoken("MSG-07", "a local part beyond ASCII where SMTPUTF8 is offered", saying(map[string]string{"192.0.2.1": "ü"}, utf8("ü@one.test", "250 2.0.0")))
	takes.offer = utf8Offer()
	next := spoken("MSG-07", "the next exchanger may offer what the first one lacks", saying(map[string]string{"192.0.2.1": "", "192.0.2.2": "ü"}, utf8("ü@one.test", "250 2.0.0")))
	next.zone = zoneOf("one.test. MX 10 mx1.test.", "one.test. MX 20 mx2.test.", "mx1.test. A 192.0.2.1", "mx2.test. A 192.0.2.2")
	next.others = []host{{addr: "192.0.2.2", offer: utf8Offer()}}
	domain := zoneOf("xn--bcher-kva.test. MX 10 mx1.test.", "mx1.test. A 192.0.2.1")
	alabel := spoken("MSG-07", "a domain beyond ASCII, and no SMTPUTF8: its A-label", addressed([]string{"a@xn--bcher-kva.test"}, utf8("a@bücher.test", "250 2.0.0")))
	alabel.zone = domain
	ulabel := spoken("MSG-07", "a domain beyond ASCII where SMTPUTF8 is offered: as it is", addressed([]string{"a@bücher.test"}, utf8("a@bücher.test", "250 2.0.0")))
	ulabel.zone, ulabel.offer = domain, utf8Offer()
	given := spoken("MSG-07", "an A-label needs no SMTPUTF8", addressed([]string{"a@xn--bcher-kva.test"}, append(news([]string{"a@xn--bcher-kva.test"}, "250 2.0.0"), bye()...)))
	given.zone = domain
	return []row{
		lacks, takes, next, alabel, ulabel, given,
		refusedAddress("MSG-07", "an address beyond ASCII in a transaction without SMTPUTF8", "<ü@one.test>", "550 5.6.7"),
		refusedSender("MSG-07", "a sender beyond ASCII in a transaction without SMTPUTF8", "<ü@example.org>", "550 5.6.7"),
		spoken("MSG-07", "SMTPUTF8 that only the content needs", saying(map[string]string{"192.0.2.1": "a"}, utf8("a@one.test", "250 2.0.0"))),
		{id: "HST-15", rule: "octets beyond ASCII where 8BITMIME is not offered: as they are", want: all("OK"), then: same, offer: []string{"PIPELINING"},
			content: "Subject: x\r\n\r\n" + strings.Repeat("grün\r\n", 10)},
	}
}
