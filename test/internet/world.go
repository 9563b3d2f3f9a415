package internet

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// Config describes a world. Domains and Hosts must be positive.
type Config struct {
	Domains   int  // mail domains
	Hosts     int  // mail hosts; fewer than Domains means that domains share them
	DeadHosts int  // of the Hosts, refuse connections; fewer than Hosts
	Silent    bool // dead hosts do not even refuse: octets sent to them are dropped

	Big      int // of every 1000 recipients of Recipient, at the one big domain, which is domain number Domains; 0: it does not exist
	BigHosts int // further hosts, its equal exchangers; positive if Big is

	RTT        time.Duration // simulated round trip to every mail host
	Processing time.Duration // of every final reply
	DNSDelay   time.Duration // before every DNS answer
	Additional bool          // MX answers carry the hosts' addresses
	TTL        uint32        // seconds, of all DNS answers; 0 is 300

	TLS         KeyKind // every host offers STARTTLS, with a certificate of its own name
	KeyExchange string  // the only one that hosts take: X25519MLKEM768, X25519 or P-256; "" is any

	AD   bool // DNS answers are marked as validated, for who asks
	TLSA bool // hosts have TLSA records 3 1 1 of their certificates; they need TLS
	STS  bool // domains say that they have an MTA-STS policy, which nobody can fetch

	Port int    // of all mail hosts; 0 gives one away
	DNS  string // where the DNS server listens; "" is 127.0.0.1:0

	Refused, Grey, Full, TempFail int    // of every 1000 recipients of Recipient
	Seed                          uint64 // rotates the recipients' domains
	Sender                        string // every transaction's, as a template of Sender; "": anybody

	MX mxsim.Config // what else every host does; Name, RTT, Processing, Rcpt and Sink are the world's
}

// A World is a running internet.
type World struct {
	c    Config
	zone *zone

	authority *authority // nil without TLS
	turns     turns
	tally     *tally
	grey      mxsim.Greylist
	dns       *dnssim.Server
	port      int
	read      atomic.Int64   // octets, on all sessions
	running   sync.WaitGroup // accepting goroutines and the sessions of the one listener

	mu      sync.Mutex // never held while waiting
	start   time.Time
	servers []*mxsim.Server // of each host; nil until it is needed
	all     []net.Listener  // each for all hosts; empty when each has its own
	holes   []*hole         // the dead hosts, when they are silent
	closed  bool
}

// Start makes a world; Close ends it.
func Start(c Config) (*World, error) { return start(c, allowDescriptors) }

func start(c Config, allow func(descriptors int) bool) (*World, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.DNS == "" {
		c.DNS = "127.0.0.1:0"
	}
	w := &World{c: c, start: time.Now(), servers: make([]*mxsim.Server, c.hosts()), turns: make(turns, most)}
	w.zone, w.tally = newZone(&w.c), newTally(&w.c)
	if err := w.secure(); err != nil {
		return nil, err
	}
	if err := w.listen(allow); err != nil {
		w.Close()
		return nil, fmt.Errorf("internet: mail hosts: %w", err)
	}
	w.zone.port = w.port
	var err error
	w.dns, err = dnssim.Start(dnssim.Config{Addr: c.DNS, Handler: w.zone.answer, Delay: c.DNSDelay})
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("internet: DNS server: %w", err)
	}
	return w, nil
}

func (c *Config) check() error {
	switch {
	case c.Domains <= 0 || c.Hosts <= 0 || c.DeadHosts < 0 || c.DeadHosts >= c.Hosts:
		return fmt.Errorf("internet: %d domains on %d hosts, %d of them dead: no such world", c.Domains, c.Hosts, c.DeadHosts)
	case c.Big < 0 || c.BigHosts < 0 || c.Big > 1000 || (c.Big > 0) != (c.BigHosts > 0):
		return fmt.Errorf("internet: a big domain with %d of 1000 recipients on %d hosts: no such world", c.Big, c.BigHosts)
	case c.hosts() > maxHosts:
		return fmt.Errorf("internet: %d hosts, of at most %d", c.hosts(), maxHosts)
	case c.TLSA && c.TLS == NoTLS:
		return errors.New("internet: TLSA records of hosts without TLS: no such world")
	}
	return nil
}

// Port is the port of every mail host.
func (w *World) Port() int { return w.port }

// DNSAddr is "HOST:PORT" of the DNS server.
func (w *World) DNSAddr() string { return w.dns.Addr() }

// Reset forgets what arrived. Sessions that are open go on and count as open.
func (w *World) Reset() {
	w.mu.Lock()
	w.start = time.Now()
	for _, s := range w.servers {
		if s != nil {
			s.Reset()
		}
	}
	w.mu.Unlock()
	w.tally.reset()
	w.grey.Forget()
	w.read.Store(0)
	w.zone.forget()
}

// Close ends all servers and waits for their goroutines.
func (w *World) Close() {
	w.mu.Lock()
	w.closed = true
	for _, l := range w.all {
		l.Close()
	}
	for _, h := range w.holes {
		h.close()
	}
	servers := slices.Clone(w.servers)
	w.mu.Unlock()
	for _, s := range servers {
		if s != nil {
			s.Close()
		}
	}
	w.running.Wait()
	if w.dns != nil {
		w.dns.Close()
	}
}

// server is host j's.
func (w *World) server(j int) *mxsim.Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.servers[j] == nil {
		c := w.c.MX
		c.Name, c.RTT, c.Processing = HostName(j), w.c.RTT, w.c.Processing
		c.Rcpt = w.rcpt
		c.Sink = func(m *mxsim.Message) { w.tally.take(j, m) }
		w.servers[j] = mxsim.New(c)
		if w.closed {
			w.servers[j].Close() // it takes no session
		}
	}
	return w.servers[j]
}

// rcpt answers RCPT by the recipient's fate.
func (w *World) rcpt(to string, nth int) string {
	switch FateOf(to) {
	case Refuse:
		return "550 5.1.1 <" + to + ">: no such user"
	case Grey:
		return w.grey.Rcpt(to, nth)
	case Full:
		return "452 4.2.2 <" + to + ">: mailbox full"
	case TempFail:
		return "451 4.3.0 <" + to + ">: try again later"
	}
	return ""
}

// String is for messages of the tools: "10000 domains on 200 hosts".
func (c Config) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d domains on %d hosts", c.Domains, c.Hosts)
	if c.DeadHosts > 0 {
		fmt.Fprintf(&b, " (%d %s)", c.DeadHosts, map[bool]string{false: "dead", true: "silent"}[c.Silent])
	}
	if c.Big > 0 {
		fmt.Fprintf(&b, " and a big one on %d", c.BigHosts)
	}
	if c.TLS != NoTLS {
		fmt.Fprintf(&b, " with TLS (%s)", c.TLS)
	}
	fmt.Fprintf(&b, ", round trip %v, processing %v, DNS %v", c.RTT, c.Processing, c.DNSDelay)
	return b.String()
}
