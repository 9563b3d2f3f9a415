package conformance

import (
	"slices"
	"strings"
)

// memoryRows are contents for which there is no room, now or ever.
func memoryRows() []row {
	small := func(then func(*play)) func(*play) {
		return tuned(tuning{program: []string{"[lmtp]\n", "[lmtp]\nmemory = \"256KiB\"\nmax_message_size = \"128KiB\"\n"}}, then)
	}
	full := func(rule string, then script) row {
		hold := make(chan struct{})
		r := spoken("MSG-08", rule, small(whileFull(hold, then)))
		r.zone, r.faults = apartZone(), []fault{{at: atDot, do: do(held(hold), say("250 2.0.0 queued"))}}
		r.others = []host{{addr: "192.0.2.2", faults: r.faults}}
		return r
	}
	both := []string{"a@one.test", "b@one.test"}
	return []row{
		full("no room for the size that MAIL announces: 452", script{"> MAIL FROM:<list@example.org> SIZE=100000", "< 452 4.3.1"}),
		full("no room for a content whose size was not announced: 452 for each", slices.Concat(envelope(both...), filler("z", 100), script{"< 452 4.3.1", "< 452 4.3.1"})),
		spoken("MSG-08", "larger than any message may be: final for each, and the next one is taken", small(saying(map[string]string{"192.0.2.1": "c"},
			slices.Concat(envelope(both...), filler("x", 200), script{"< 554 5.3.4", "< 554 5.3.4"}, news([]string{"c@one.test"}, "250 2.0.0"), bye())))),
	}
}

// filler is a content of so many lines of 1,000 octets.
func filler(octet string, lines int) script {
	return append(slices.Repeat(script{"> " + strings.Repeat(octet, 998)}, lines), "> .")
}

// held waits until a channel is closed, or the row is over.
func held(until <-chan struct{}) act {
	return act{name: "waits", run: func(s *server) bool {
		select {
		case <-until:
			return true
		case <-s.stop:
			return false
		}
	}}
}

// whileFull plays a script while two other messages fill the memory, and once more a message when they have gone.
func whileFull(hold chan struct{}, then script) func(*play) {
	return func(p *play) {
		var waiting []*hostMTA
		for to, octet := range map[string]string{"w@one.test": "x", "w@two.test": "y"} { // equal contents would share their memory
			h := p.connected()
			if h == nil {
				return
			}
			defer h.conn.Close()
			waiting = append(waiting, h)
			if !p.talk(h, append(envelope(to), filler(octet, 100)...)) {
				return
			}
		}
		p.until("two messages are under way", func() bool { return p.copies()["w"] == 2 })
		full := map[string]string{"192.0.2.1": "w", "192.0.2.2": "w"}
		saying(full, then)(p)
		close(hold)
		for _, h := range waiting {
			p.talk(h, append(script{"< 250 2.0.0"}, bye()...))
		}
		full["192.0.2.1"] = "c w"
		saying(full, append(news([]string{"c@one.test"}, "250 2.0.0"), bye()...))(p)
	}
}
