package feed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The exchangers of most tests. Both domains name them in this order.
const (
	best   = "192.0.2.1"
	backup = "192.0.2.2"
)

// budget is what an envelope gets unless a test says otherwise: the default of the configuration.
const budget = 540 * time.Second

// A world is one Feeder among simulated exchangers. It lives in a synctest bubble, so that its minutes cost nothing.
type world struct {
	t       *testing.T
	net     *netsim.Net
	table   *table
	feeder  *Feeder
	halt    context.CancelFunc // stops Run at once
	over    chan struct{}      // closed when Run has returned
	closers []func()
	sent    int

	mu   sync.Mutex
	taps []*tap // what the Feeder wrote on each connection, in the order of the dials
}

// newWorld starts a Feeder that knows no domain and whose hosts are 10 ms away. By default a host gets one session, so that
// scripts know which connection comes first.
func newWorld(t *testing.T, configure ...func(*Config)) *world {
	w := &world{t: t, net: netsim.New(), table: &table{}, over: make(chan struct{})}
	w.net.Default(netsim.Link{Latency: 10 * time.Millisecond})
	c := Config{Resolver: w.table, Dial: w.dial, Seed: 1, SessionsPerHost: 1}
	for _, f := range configure {
		if f != nil {
			f(&c)
		}
	}
	w.feeder = New(c)
	ctx, halt := context.WithCancel(context.Background())
	w.halt = halt
	go func() {
		defer close(w.over)
		w.feeder.Run(ctx)
	}()
	t.Cleanup(w.finish)
	return w
}

// finish drains the Feeder and checks that it left nothing behind. It may be called more than once.
func (w *world) finish() {
	w.feeder.Drain()
	<-w.over
	w.halt()
	time.Sleep(time.Second) // what the Feeder wrote last arrives
	for _, c := range w.closers {
		c()
	}
	w.closers = nil
	assert.Zero(w.t, w.net.Open(), "no connection is left open on either side")
}

// twoDomains makes one.test and two.test share their exchanger, and with next also a second one behind it.
func (w *world) twoDomains(next bool) {
	for _, domain := range []string{"one.test", "two.test"} {
		mx := []string{"10 mx1.test " + best}
		if next {
			mx = append(mx, "20 mx2.test "+backup)
		}
		w.table.set(domain, mx...)
	}
}

func (w *world) listen(addr string) net.Listener {
	l, err := w.net.Listen(at(addr))
	require.NoError(w.t, err)
	return &listener{Listener: l, world: w}
}

// play puts a scripted exchanger at an address, with a script for each connection.
func (w *world) play(addr string, scripts ...mxsim.Script) *mxsim.Player {
	p := mxsim.Play(w.listen(addr), scripts...)
	w.closers = append(w.closers, p.Close)
	return p
}

// serve puts a polite exchanger at an address.
func (w *world) serve(addr string, c mxsim.Config) *mxsim.Server {
	s := mxsim.New(c)
	s.Start(w.listen(addr))
	w.closers = append(w.closers, s.Close)
	return s
}

// send hands a message over, in an envelope of its own. Equal contents are one message.
func (w *world) send(content string, to ...string) *delivery {
	return w.sendIn(budget, content, to...)
}

func (w *world) sendIn(budget time.Duration, content string, to ...string) *delivery {
	w.sent++
	d := &delivery{t: w.t, left: len(to), settled: make([]*Settlement, len(to)), done: make(chan struct{})}
	d.envelope = &Envelope{ID: fmt.Sprint("e", w.sent), From: mustAddress(w.t, "list@example.org"), Body: bodyOf(content),
		Deadline: time.Now().Add(budget), Sink: d}
	for _, a := range to {
		address := mustAddress(w.t, a)
		d.envelope.Recipients = append(d.envelope.Recipients, address)
		d.envelope.Routes = append(d.envelope.Routes, address.Domain())
	}
	w.feeder.Send(d.envelope)
	return d
}

func (w *world) snapshot() Snapshot {
	s, err := w.feeder.Snapshot(context.Background())
	require.NoError(w.t, err)
	return s
}

// dials is how often an address was dialled.
func (w *world) dials(addr string) int { return w.net.Dials()[at(addr)] }

func at(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 25) }

// dial is the Feeder's way into the net.
func (w *world) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := w.net.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	tap := &tap{Conn: c, to: to, fault: -1}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taps = append(w.taps, tap)
	return tap, nil
}

// tapsTo are the taps of the connections to an address.
func (w *world) tapsTo(addr string) []*tap {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []*tap
	for _, tap := range w.taps {
		if tap.to == at(addr) {
			found = append(found, tap)
		}
	}
	return found
}

// A tap records what the Feeder writes on one connection, and from where on a fault was on its way to it.
type tap struct {
	net.Conn
	to netip.AddrPort

	mu      sync.Mutex
	written []byte
	writes  []int // their lengths
	fault   int   // octets written when the peer began to misbehave; -1 when it did not
}

func (c *tap) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = append(c.written, b[:n]...)
	c.writes = append(c.writes, n)
	return n, err
}

// text is all that was written.
func (c *tap) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.written)
}

// texts is what was written, a string for each write.
func (c *tap) texts() (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := 0
	for _, n := range c.writes {
		texts = append(texts, string(c.written[from:from+n]))
		from += n
	}
	return texts
}

// afterFault is what was written since the fault, ok when there was one.
func (c *tap) afterFault() (text string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault < 0 {
		return "", false
	}
	return string(c.written[c.fault:]), true
}

// fault marks in a script where the peer begins to misbehave: what the Feeder writes from then on is judged.
var fault = mxsim.Do("fault", func(c net.Conn) error {
	s := c.(*served)
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	for _, tap := range s.world.taps {
		if tap.LocalAddr().String() == s.RemoteAddr().String() {
			tap.mu.Lock()
			tap.fault = len(tap.written)
			tap.mu.Unlock()
			return nil
		}
	}
	return fmt.Errorf("no tap on %s", s.RemoteAddr())
})

// A listener gives its connections back to the world they are in, for fault.
type listener struct {
	net.Listener
	world *world
}

// A served is the server's end of a connection; the embedded Conn has CloseWrite and SetLinger for Drop and Reset.
type served struct {
	*netsim.Conn
	world *world
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &served{Conn: c.(*netsim.Conn), world: l.world}, nil
}

// A table is a Resolver with fixed answers. The n-th domain of the table is answered after n milliseconds: several lookups at
// once end in the table's order, and all of them before a session is open.
type table struct {
	mu     sync.Mutex
	order  []string
	routes map[string]resolver.Route
}

// set says where a domain's mail goes: "10 mx.test 192.0.2.1 192.0.2.2".
func (r *table) set(domain string, exchangers ...string) {
	rt := resolver.Route{Domain: domain, Expires: time.Now().Add(time.Hour)}
	for _, x := range exchangers {
		var mx resolver.MX
		words := strings.Fields(x)
		fmt.Sscan(words[0], &mx.Preference)
		mx.Name = words[1]
		for _, a := range words[2:] {
			addr, port, _ := strings.Cut(a, "/")
			fmt.Sscan(port, &mx.Port)
			mx.Addrs = append(mx.Addrs, netip.MustParseAddr(addr))
		}
		rt.MX = append(rt.MX, mx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routes == nil {
		r.routes = map[string]resolver.Route{}
	}
	r.order = append(r.order, domain)
	r.routes[domain] = rt
}

func (r *table) Resolve(ctx context.Context, domain string) (resolver.Route, error) {
	rt, delay, ok := r.look(domain)
	if !ok {
		return rt, &resolver.Error{Kind: resolver.NoSuchDomain, Domain: domain, Question: "MX " + domain, Reason: "NXDOMAIN"}
	}
	select {
	case <-time.After(delay):
		return rt, nil
	case <-ctx.Done():
		return rt, ctx.Err()
	}
}

func (r *table) Cached(string) (resolver.Route, bool, error) { return resolver.Route{}, false, nil }

func (r *table) look(domain string) (rt resolver.Route, delay time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rt, ok = r.routes[domain]
	for i, d := range r.order {
		if d == domain {
			delay = time.Duration(i) * time.Millisecond
		}
	}
	return rt, delay, ok
}

// A delivery is the Sink of one envelope.
type delivery struct {
	t        *testing.T
	envelope *Envelope
	done     chan struct{} // closed by Settle when nobody is left

	mu      sync.Mutex
	left    int
	settled []*Settlement // by recipient
}

// Settle is called by the Feeder's loop.
func (d *delivery) Settle(settlements []Settlement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range settlements {
		assert.Nil(d.t, d.settled[s.Recipient], "recipient %d of %s is settled once", s.Recipient, d.envelope.ID)
		d.settled[s.Recipient] = &s
		d.left--
	}
	if d.left == 0 {
		close(d.done)
	}
}

// wait waits until every recipient is settled, and says what became of each.
func (d *delivery) wait() []string {
	<-d.done
	return d.outcomes()
}

// outcomes is each recipient's outcome in a word or two, "" when it is not settled.
func (d *delivery) outcomes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]string, len(d.settled))
	for i, s := range d.settled {
		if s != nil {
			out[i] = outcomeWords(s.Outcome)
		}
	}
	return out
}

// outcomeWords is "delivered", "failed 5.1.1", "deferred 4.4.2" or "uncertain 4.4.2".
func outcomeWords(o *Outcome) string {
	switch {
	case o.Class == Delivered:
		return "delivered"
	case o.Uncertain:
		return "uncertain " + o.Status.String()
	default:
		return o.Class.String() + " " + o.Status.String()
	}
}

// via is the exchanger that the i-th recipient was tried on last.
func (d *delivery) via(i int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := d.settled[i].Outcome.Via; v != nil {
		return v.MX
	}
	return ""
}

// latest is when the last recipient was settled, since it was handed over.
func (d *delivery) latest() (latest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.settled {
		latest = max(latest, s.Total)
	}
	return latest
}

// addresses are u0@domain to u(n-1)@domain.
func addresses(n int, domain string) []string {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("u%d@%s", i, domain)
	}
	return to
}

// repeated is the same word for n recipients.
func repeated(word string, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = word
	}
	return words
}

// stuffed is a content as it stands on the wire, without the end of data.
func stuffed(b *wire.Body) []byte { return bytes.Join(b.Stuffed(), nil) }

// text is size octets of lines of text without a dot in front.
func text(size int) string {
	line := strings.Repeat("x", 70) + "\r\n"
	return strings.Repeat(line, size/len(line)+1)[:size-2] + "\r\n"
}

// leaves reads until the client leaves, however it does. Unlike mxsim's StallForever it takes what it is given slowly: n octets
// each second.
func leaves(n int) mxsim.Step {
	return mxsim.Do(fmt.Sprintf("leaves(%d)", n), func(c net.Conn) error {
		b := make([]byte, n)
		for {
			time.Sleep(time.Second)
			if _, err := io.ReadFull(c, b); err != nil {
				return nil
			}
		}
	})
}

// dripping is mxsim.Drip for a client that leaves before the end.
func dripping(gap time.Duration, text string) mxsim.Step {
	return mxsim.Do("dripping", func(c net.Conn) error {
		for i := range len(text) {
			time.Sleep(gap)
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return nil
			}
		}
		return nil
	})
}

// slowly takes size octets, n a second.
func slowly(size, n int) mxsim.Step {
	return mxsim.Do(fmt.Sprintf("slowly(%d, %d)", size, n), func(c net.Conn) error {
		for b := make([]byte, n); size > 0; size -= n {
			time.Sleep(time.Second)
			if _, err := io.ReadFull(c, b[:min(n, size)]); err != nil {
				return err
			}
		}
		return nil
	})
}
