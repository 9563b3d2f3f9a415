package ledger

import "github.com/smtpfeed/smtpfeed/feed"

// sparse is how many cancelled deliveries a group may drag along before it is packed.
const sparse = 1024

// A group is what the next commit changes on disk: it deletes all that is kept of the forgotten messages, and then adds the
// deliveries. A delivery that is forgotten before its commit is cancelled and never reaches the disk. While the file cannot be
// written the group stays and grows, up to its limit.
type group struct {
	limit      int // recipients it may hold, and forgotten messages
	recipients int // in deliveries that are not cancelled

	forgotten  []feed.MessageID
	deliveries []pending
	last       map[feed.MessageID]int // the message's newest delivery: index and one
	cancelled  int
	dropped    int // recipients for which there was no room, ever
}

// A pending delivery waits for its commit.
type pending struct {
	feed.Delivery
	before int // the message's delivery before this one: index and one, or 0
	gone   bool
}

func newGroup(limit int) group {
	return group{limit: limit, last: make(map[feed.MessageID]int)}
}

// add takes an entry in, after all that was added before.
func (g *group) add(e feed.Entry) {
	for i := range e.Delivered {
		g.deliver(e.Delivered[i])
	}
	for _, m := range e.Forgotten {
		g.forget(m)
	}
}

func (g *group) deliver(d feed.Delivery) {
	n := len(d.Recipients)
	if n == 0 {
		return
	}
	if g.recipients+n > g.limit && g.recipients > 0 {
		g.dropped += n
		return
	}
	g.deliveries = append(g.deliveries, pending{Delivery: d, before: g.last[d.Message]})
	g.last[d.Message] = len(g.deliveries)
	g.recipients += n
}

// forget cancels what waits, and has what is on disk deleted. A message that is not known to be on disk may be there all the
// same: when nothing was read yet, or when a commit failed halfway. Beyond the limit that is left to its age.
func (g *group) forget(m feed.MessageID) {
	for i := g.last[m]; i > 0; i = g.deliveries[i-1].before {
		g.cancel(&g.deliveries[i-1])
	}
	delete(g.last, m)
	if len(g.forgotten) < g.limit {
		g.forgotten = append(g.forgotten, m)
	}
	if g.cancelled > sparse && g.cancelled > len(g.deliveries)/2 {
		g.pack()
	}
}

func (g *group) cancel(p *pending) {
	g.recipients -= len(p.Recipients)
	g.cancelled++
	p.Delivery, p.gone = feed.Delivery{}, true
}

// pack gives back the room of cancelled deliveries.
func (g *group) pack() {
	old := g.deliveries
	g.deliveries, g.cancelled = nil, 0
	clear(g.last)
	for i := range old {
		if old[i].gone {
			continue
		}
		g.deliveries = append(g.deliveries, pending{Delivery: old[i].Delivery, before: g.last[old[i].Message]})
		g.last[old[i].Message] = len(g.deliveries)
	}
}

// live is how many deliveries are to be written.
func (g *group) live() int { return len(g.deliveries) - g.cancelled }

// size is what it weighs in a queue: recipients, and messages to forget.
func (g *group) size() int { return g.recipients + len(g.forgotten) }

// forgot are the messages that are to be deleted.
func (g *group) forgot() map[feed.MessageID]bool {
	set := make(map[feed.MessageID]bool, len(g.forgotten))
	for _, m := range g.forgotten {
		set[m] = true
	}
	return set
}

// reset empties the group after its commit and keeps its memory, unless an outage made it large.
func (g *group) reset() {
	if cap(g.deliveries) > 4*sparse || cap(g.forgotten) > 4*sparse {
		dropped := g.dropped
		*g = newGroup(g.limit)
		g.dropped = dropped
		return
	}
	clear(g.deliveries)
	clear(g.last)
	g.forgotten, g.deliveries = g.forgotten[:0], g.deliveries[:0]
	g.recipients, g.cancelled = 0, 0
}
