package conformance

import (
	"bufio"
	"context"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/lmtp"
)

// silentHostRows are hosts that say nothing more, where minutes pass: package lmtp in a bubble, in front of the engine.
func silentHostRows() []row {
	in := func(id, rule string, places map[string]string, then func(*play, *hostMTA)) row {
		return row{id: id, rule: rule, where: inMemory, play: func(p *play) {
			h, end := p.lmtpInMemory()
			defer end()
			then(p, h)
			p.checkPlaces(places)
		}}
	}
	const forged = "RSET\r\nMAIL FROM:<forged@example.org>\r\nRCPT TO:<forged@one.test>\r\nDATA\r\nforged\r\n.\r\n"
	return []row{
		in("HST-07", "a pause of 10 minutes in the content: the connection has ended, and what comes then is not obeyed", nil, func(p *play, h *hostMTA) {
			p.talk(h, append(envelope("a@one.test"), "> Subject: x", "> "))
			time.Sleep(10 * time.Minute)
			h.conn.Write([]byte("rest\r\n.\r\n" + forged))
			if line, err := h.reply(); err == nil && line[0] != '4' {
				p.fail("behind the pause it says %q", line)
			}
		}),
		in("HST-07", "many pauses of 4 minutes in the content are borne", map[string]string{"192.0.2.1": "a"}, func(p *play, h *hostMTA) {
			p.talk(h, envelope("a@one.test"))
			for range 5 {
				time.Sleep(4 * time.Minute)
				p.talk(h, script{"> line"})
			}
			p.talk(h, append(script{"> .", "< 250 2.0.0"}, bye()...))
		}),
		in("HST-07", "a host that leaves in the content: nobody gets what there is of it", nil, func(p *play, h *hostMTA) {
			p.talk(h, append(envelope("a@one.test"), "> Subject: x", "> ", "> half"))
			h.conn.Close()
			time.Sleep(time.Minute)
		}),
		in("HST-07", "a host that leaves in the middle of the end of data", nil, func(p *play, h *hostMTA) {
			p.talk(h, append(envelope("a@one.test"), "> Subject: x", ">> \r\n.\r"))
			h.conn.Close()
			time.Sleep(time.Minute)
		}),
		in("HST-07", "an hour between two commands: the connection has ended", nil, func(p *play, h *hostMTA) {
			p.talk(h, script{"> MAIL FROM:<list@example.org>", "< 250", "> RCPT TO:<a@one.test>", "< 250"})
			time.Sleep(time.Hour)
			h.conn.Write([]byte("DATA\r\n"))
			if line, err := h.reply(); err == nil && line[:3] != "421" {
				p.fail("behind the pause it says %q", line)
			}
		}),
		silentExchanger(),
	}
}

// silentExchanger is an exchanger that says nothing, while the host MTA waits: it is told within its patience, which is 600 s a reply.
func silentExchanger() row {
	return row{id: "HST-04", rule: "an exchanger that says nothing for ever: every host MTA is told before its patience ends", where: inMemory,
		faults: []fault{{at: atConnect, times: always, do: do(leaves)}}, play: func(p *play) {
			h, end := p.lmtpInMemory()
			defer end()
			begin := time.Now()
			p.talk(h, append(news(everybody(), "451 4.4.2", "451 4.4.2", "451 4.4.2"), bye()...))
			if took := time.Since(begin); took > 600*time.Second {
				p.fail("it was told after %v", took)
			}
		}}
}

// lmtpInMemory is a host MTA's connection with package lmtp in the row's world, in front of its engine.
func (p *play) lmtpInMemory() (h *hostMTA, end func()) {
	w, at := p.world.(*memory), netip.MustParseAddrPort("192.0.2.250:24")
	l, err := w.net.Listen(at)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	server, over := lmtp.New(lmtp.Config{Hostname: "feed.conformance.test", Mailer: p.mailer.(*engine).feeder}), make(chan struct{})
	go func() {
		defer close(over)
		server.Serve(l)
	}()
	conn, err := w.net.Dial(context.Background(), at)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	h = &hostMTA{conn: conn, in: bufio.NewReader(conn)}
	p.talk(h, script{"< 220", "> LHLO host.conformance.test", "< 250"})
	return h, func() {
		conn.Close() // it may be closed already
		server.Close()
		<-over
	}
}
