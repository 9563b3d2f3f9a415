package conformance

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
)

// A world is where a row is played.
type world interface {
	// listen takes connections to an address of a row.
	listen(netip.Addr) (net.Listener, error)
	// listenHTTPS takes connections to a policy host.
	listenHTTPS(netip.Addr) (net.Listener, error)
	// serve answers questions about the names of a row; none, when it is nil.
	serve(names, dnssim.Handler)
	// scaled is how long a time of a row takes here.
	scaled(time.Duration) time.Duration
	// gated says that greetings wait until the domains were asked for.
	gated() bool
	// large is a size that does not fit into the buffers on the way.
	large() int
	// port is where exchangers listen.
	port() int
	// tick lets a little time pass.
	tick()
}

// A play is a row being played to a mailer.
type play struct {
	row    row
	next   bool // there is another exchanger
	names  names
	world  world
	mailer mailer

	best, other *exchanger
	hosts       []*exchanger // all of them
	identities  identities
	web         []*http.Server
	asked       chan struct{}
	told        chan struct{} // closed when the message under test was answered: the mailer has heard what its exchangers said
	got         []outcome
	problems    []problem
}

// run plays it, and says what came of it.
func (p *play) run() verdict {
	if err := p.prepare(); err != nil {
		p.fail("the world cannot be set up: %v", err)
	} else if p.row.play != nil {
		p.row.play(p)
	} else {
		p.exchange()
	}
	p.end()
	for _, h := range p.hosts {
		for i, c := range h.connections() {
			for _, problem := range c.judge() {
				p.fail("connection %d of %s: %s", i+1, h.addr, problem)
			}
		}
	}
	return verdict{got: p.got, problems: p.problems}
}

// A verdict is what came of a row.
type verdict struct {
	got      []outcome
	problems []problem
}

// A problem is something that is not as the row wants it. Its harm is what of it the users of the mail would notice.
type problem struct {
	harm harm
	text string
}

// A harm is what a mailer must not do to mail.
type harm string

const (
	bounced harm = "bounced" // told 5xx, though the row does not want that
	doubled harm = "doubled" // more copies may have arrived than the row wants
	lost    harm = "lost"    // told 2xx, and no copy arrived
)

func (p *play) fail(format string, args ...any) { p.harmed("", format, args...) }

func (p *play) harmed(h harm, format string, args ...any) {
	p.problems = append(p.problems, problem{h, fmt.Sprintf(format, args...)})
}

// prepare makes the names and the exchangers.
func (p *play) prepare() error {
	p.asked, p.told = make(chan struct{}), make(chan struct{})
	if _, isPostfix := p.mailer.(*postfix); isPostfix {
		close(p.told) // it hears nobody while it sends a content
	}
	hosts := p.cast()
	handler, err := p.handler()
	if err != nil {
		return err
	}
	p.world.serve(p.names, p.watch(handler))
	gate := p.asked
	if !p.world.gated() || p.row.cold {
		gate = nil
	}
	if err := p.publish(); err != nil {
		return err
	}
	for _, h := range hosts {
		l, err := p.listen(h)
		if err != nil {
			return err
		}
		p.hosts = append(p.hosts, newExchanger(h, l, p.world.scaled, gate, p.told))
	}
	p.best = p.hosts[0]
	if p.next {
		p.other = p.hosts[1]
	}
	return nil
}

// cast are the row's hosts, with their certificates.
func (p *play) cast() []host {
	r := p.row
	hosts := []host{{addr: "192.0.2.1", faults: r.faults, offer: r.offer, manner: r.manner, dead: r.dead, tls: r.tls}}
	if p.next {
		other := host{addr: "192.0.2.2", tls: r.tlsNext}
		if r.tls != nil && other.tls == nil {
			other.tls = inOrder()
		}
		hosts = append(hosts, other)
	}
	hosts = append(hosts, r.others...)
	p.identities = identities{}
	for i, h := range hosts {
		if h.tls != nil {
			id := h.tls.identity(p.names, h.addr)
			label, _, _ := strings.Cut(hostName(h.addr), ".")
			p.identities[label], hosts[i].config = id, h.tls.server(id)
		}
	}
	return hosts
}

// listen takes connections for a host, if it does.
func (p *play) listen(h host) (net.Listener, error) {
	if h.dead {
		return noListener{}, nil
	}
	return p.world.listen(p.names.addr(h.addr))
}

// A noListener is where nobody listens.
type noListener struct{ net.Listener }

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }

// inTurn is how much later each further domain of a row is answered for: its recipients come in the order of the row. To smtpfeed over sockets
// no delay could promise that, see overSockets.
const inTurn = 5 * time.Millisecond

// watch notes which of the recipients' domains were asked for.
func (p *play) watch(h dnssim.Handler) dnssim.Handler {
	domains, order := map[string]bool{}, map[string]time.Duration{}
	for _, to := range p.names.all(p.row.recipients()) {
		d := to[strings.LastIndexByte(to, '@')+1:]
		if !domains[d] {
			domains[d], order[d] = true, time.Duration(len(order))
		}
	}
	var mu sync.Mutex
	return func(q dns.Question, tcp bool) dnssim.Answer {
		mu.Lock()
		defer mu.Unlock()
		a := h(q, tcp)
		d := questionDomain(q)
		if q.Qtype == dns.TypeMX && !p.world.gated() {
			a.Delay += order[d] * inTurn
		}
		if q.Qtype == dns.TypeMX && domains[d] {
			delete(domains, d)
			if len(domains) == 0 {
				close(p.asked)
			}
		}
		return a
	}
}

// message is one of this play's.
func (p *play) message(content string, to ...string) message {
	from := strings.TrimSuffix("list+"+p.names.label, "+") + "@example.org"
	return message{from: from, to: p.names.all(to), content: content, budget: p.row.budget, private: p.row.private, lax: p.row.lax, asked: p.asked}
}

// content is the row's, or a short one.
func (p *play) content() string {
	switch {
	case p.row.lax:
		return "TLS-Required: No\r\nSubject: news\r\n\r\nhello\r\n"
	case p.row.content != "":
		return p.row.content
	case p.row.large:
		line := strings.Repeat("x", 70) + "\r\n"
		return "Subject: large\r\n\r\n" + strings.Repeat(line, p.world.large()/len(line)) + strings.Repeat("y", 70) + "\r\n"
	}
	return "Subject: news\r\n\r\nhello\r\n"
}

// send delivers a message, and fails when that is not possible.
func (p *play) send(m message) []outcome {
	got, err := p.mailer.deliver(m)
	if err != nil {
		p.fail("the mailer: %v", err)
		return make([]outcome, len(m.to))
	}
	for i, o := range got {
		if o.bad != "" {
			p.fail("%s is told in a bad way: %s", m.to[i], o.bad)
		}
	}
	return got
}

// exchange is what most rows want: a message and its answer.
func (p *play) exchange() {
	if p.row.warm {
		to := p.row.recipients()
		early := p.send(p.message("Subject: early\r\n\r\n", "z"+to[0][1:], "y"+to[len(to)-1][1:])) // local parts have one letter
		if early[0].class != "OK" || early[1].class != "OK" {
			p.fail("the early message: %v", early)
		}
	}
	p.got = p.send(p.message(p.content(), p.row.recipients()...))
	if _, isPostfix := p.mailer.(*postfix); !isPostfix {
		close(p.told)
	}
	p.checkOutcomes()
	p.checkConnections()
	if got, known := p.mailer.learned("mx1.test"); known && !strings.Contains(got, p.row.learned) {
		p.fail("learned of the host: %q, wanted %q", got, p.row.learned)
	}
	if _, isPostfix := p.mailer.(*postfix); p.row.second(p.next) != notAsked && !isPostfix {
		p.again()
	}
	p.settle()
	p.checkCopies()
	p.checkChannel()
}

// end closes the world.
func (p *play) end() {
	for _, w := range p.web {
		w.Close()
	}
	for _, h := range p.hosts {
		h.close()
	}
	p.world.serve(p.names, nil)
}

// checkOutcomes compares what the recipients were told.
func (p *play) checkOutcomes() {
	want, _ := p.row.wanted(p.next)
	for i, to := range p.row.recipients() {
		if !p.got[i].is(want[i], p.mailer.told()) {
			var h harm
			if p.got[i].class == "P" && !strings.HasPrefix(want[i], "P") {
				h = bounced
			}
			p.harmed(h, "%s: %v, wanted %s (%s)", to, p.got[i], want[i], p.got[i].text)
		}
		if w := p.row.within; w > 0 && p.got[i].latency > w {
			p.fail("%s was told after %v, wanted at most %v", to, p.got[i].latency, w)
		}
	}
}

// checkConnections compares how often the exchangers were connected to by now.
func (p *play) checkConnections() {
	if n, want := len(p.best.connections()), p.row.connections(p.next); n != want && want != some {
		p.fail("the best exchanger got %d connections, wanted %d", n, want)
	}
	for _, c := range p.best.connections() {
		if p.row.noMail && len(c.transactions) > 0 {
			p.fail("the best exchanger got MAIL")
		}
	}
	if !p.next || p.row.wantNext != nil {
		return
	}
	_, moved := p.row.wanted(p.next)
	if n := len(p.other.connections()); (n > 0) != (len(moved) > 0) {
		p.fail("the other exchanger got %d connections, while %d recipients may move", n, len(moved))
	}
}

// again sends the second message, and sees how.
func (p *play) again() {
	p.rest()
	before := len(p.best.connections())
	then := p.row.second(p.next)
	got := p.send(p.message("Subject: again\r\n\r\n", "d@one.test"))
	switch delivered := got[0].class == "OK"; {
	case then == down && !p.next && delivered:
		p.fail("a second message was delivered, although the host should be down")
	case (then != down || p.next) && !delivered:
		p.fail("a second message was not delivered: %v", got[0])
	}
	want := before
	if then == fresh {
		want++
	}
	if n := len(p.best.connections()); n != want {
		p.fail("the second message took %d new connections, wanted %d", n-before, want-before)
	}
	if p.row.group && !p.groupedFor("d@one.test") {
		p.fail("the second message was not sent in a group of commands")
	}
	if p.row.careful && p.groupedFor("d@one.test") {
		p.fail("the second message was sent in a group of commands")
	}
}

// rest lets the row's time pass, and then as much as the mailer takes to leave whom it must leave: how soon it hears that a connection is
// over is a matter of how busy the machine is.
func (p *play) rest() {
	if p.row.rest > 0 {
		timer := time.NewTimer(p.world.scaled(p.row.rest))
		<-timer.C
		p.settle()
	}
}

// settle waits until the mailer has left the connections that it must leave.
func (p *play) settle() {
	for _, h := range p.hosts {
		h.settle(p.world.tick)
	}
}

// groupedFor says that the best exchanger got a recipient in a group of commands.
func (p *play) groupedFor(to string) (grouped bool) {
	p.best.locked(func() {
		for _, c := range p.best.seen {
			for _, t := range c.transactions {
				for _, r := range t.to {
					grouped = grouped || t.grouped && r.address == p.names.text(to)
				}
			}
		}
	})
	return grouped
}

// checkCopies counts who may have got what.
func (p *play) checkCopies() {
	to := p.row.recipients()
	arrived, elsewhere := map[string]int{}, []string{}
	for _, h := range p.hosts {
		h.locked(func() {
			for _, c := range h.seen {
				for _, t := range c.transactions {
					p.checkBody(h, t)
					for _, r := range t.reached() {
						arrived[r]++
						if h == p.other && !strings.HasPrefix(r, "d@") {
							elsewhere = append(elsewhere, r)
						}
					}
				}
			}
		})
	}
	want, moved := p.row.wanted(p.next)
	for i, r := range p.names.all(to) {
		n := copiesOf(want[i])
		if p.row.copies != nil && !p.next {
			n = p.row.copies[i]
		}
		switch {
		case arrived[r] == 0 && p.got[i].class == "OK":
			p.harmed(lost, "%s: told that it is delivered, and no copy arrived", to[i])
		case arrived[r] > max(n, 1):
			p.harmed(doubled, "%s: %d copies arrived, wanted %d", to[i], arrived[r], n)
		case arrived[r] != n:
			p.fail("%s: %d copies arrived, wanted %d", to[i], arrived[r], n)
		}
	}
	if p.next && p.row.wantNext == nil {
		p.checkMoved(elsewhere, p.names.all(moved))
	}
}

func (p *play) checkMoved(got, want []string) {
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.fail("the other exchanger got %v, wanted %v", got, want)
	}
}

// checkBody wants what was ended to be whole.
func (p *play) checkBody(h *exchanger, t *transaction) {
	if !t.complete || len(t.reached()) == 0 {
		return
	}
	content := p.content()
	if strings.HasPrefix(string(t.body), "Subject: early\r\n") || strings.HasPrefix(string(t.body), "Subject: again\r\n") {
		return
	}
	if !p.mailerKeeps(string(t.body), content) {
		p.fail("%s got a content of %d octets that is not the one of %d octets that was sent", h.addr, len(t.body), len(content))
	}
}

// mailerKeeps compares contents. Postfix puts a Received field in front, as any relay must that is none between host and wire.
func (p *play) mailerKeeps(body, content string) bool {
	if _, isPostfix := p.mailer.(*postfix); isPostfix {
		_, rest, _ := strings.Cut(content, "\r\n\r\n")
		return strings.HasSuffix(body, "\r\n\r\n"+strings.ReplaceAll(rest, "\r\n.", "\r\n.."))
	}
	return isWhole([]byte(body), content)
}
