package conformance

import "strings"

// parameterRows are parameters of MAIL and RCPT: they are passed on only where the next hop offers them.
func parameterRows() []row {
	const everything = " SIZE=1000 BODY=8BITMIME SMTPUTF8"
	said := func(rule, given, passed string, offer ...string) row {
		r := spoken("HST-15", rule, func(p *play) {
			saying(map[string]string{"192.0.2.1": "a"}, append(script{"> MAIL FROM:<list@example.org>" + given, "< 250", "> RCPT TO:<a@one.test>", "< 250", "> DATA", "< 354",
				"> Subject: x", "> ", "> hello", "> .", "< 250 2.0.0"}, bye()...))(p)
			p.best.locked(func() {
				for _, c := range p.best.seen {
					for _, t := range c.transactions {
						if t.params != passed {
							p.fail("the exchanger was given %q, wanted %q", t.params, passed)
						}
					}
				}
			})
		})
		r.offer = append([]string{"PIPELINING"}, offer...)
		return r
	}
	refused := func(rule string, lines ...string) row {
		return spoken("HST-15", rule, saying(nil, append(script(lines), bye()...)))
	}
	return []row{
		said("nothing is offered: nothing is passed on", everything, ""),
		said("SIZE is our own count, not the host's", everything, "SIZE=21", "SIZE"),
		said("SIZE without a number", everything, "SIZE=21", "SIZE 0"),
		said("8BITMIME is offered", everything, "BODY=8BITMIME", "8BITMIME"),
		said("SMTPUTF8 is offered", everything, "SMTPUTF8", "SMTPUTF8"),
		said("all are offered", everything, "SIZE=21 BODY=8BITMIME SMTPUTF8", "SIZE 100000", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "STARTTLS"),
		said("offered, and not asked for", "", "", "8BITMIME", "SMTPUTF8"),
		said("7BIT is no 8BITMIME", " BODY=7BIT", "", "8BITMIME"),
		said("keywords in whatever case", " body=8bitmime smtputf8", "BODY=8BITMIME SMTPUTF8", "8bitmime", "SmtpUtf8"),
		said("what begins like a keyword is none", everything, "", "8BITMIMEX", "SMTPUTF8-NOT", "SIZEABLE", "X8BITMIME"),
		refused("RET and ENVID are not offered", "> MAIL FROM:<list@example.org> RET=HDRS", "< 504 5.5.4", "> MAIL FROM:<list@example.org> ENVID=x", "< 504 5.5.4"),
		refused("NOTIFY and ORCPT are not offered", "> MAIL FROM:<list@example.org>", "< 250", "> RCPT TO:<a@one.test> NOTIFY=NEVER", "< 504 5.5.4",
			"> RCPT TO:<a@one.test> ORCPT=rfc822;a@one.test", "< 504 5.5.4"),
		refused("parameters that nobody knows", "> MAIL FROM:<list@example.org> X=Y", "< 50", "> MAIL FROM:<list@example.org> BODY=BINARYMIME", "< 50", "> MAIL FROM:<list@example.org> SIZE=x", "< 50"),
		spoken("HST-15", "what LHLO offers", playOffer),
	}
}

// playOffer reads the reply to LHLO: each keyword in it changes what a host MTA does.
func playOffer(p *play) {
	h := p.connected()
	if h == nil {
		return
	}
	defer h.conn.Close()
	if _, err := h.conn.Write([]byte("LHLO again\r\n")); err != nil {
		p.fail("%v", err)
		return
	}
	var keywords []string
	for {
		line, err := h.in.ReadString('\n')
		if err != nil {
			p.fail("%v", err)
			return
		}
		keywords = append(keywords, strings.TrimRight(line[4:], "\r\n"))
		if line[3] == ' ' {
			break
		}
	}
	const want = "PIPELINING,8BITMIME,ENHANCEDSTATUSCODES,SMTPUTF8,SIZE 0"
	if got := strings.Join(keywords[1:], ","); got != want {
		p.fail("LHLO offers %s, wanted %s: no DSN, for a host that is offered it drops its own success notices", got, want)
	}
}
