package netsim

import (
	"net/netip"
	"sync"
	"time"
)

// DefaultSource is the address Dial comes from.
var DefaultSource = netip.AddrFrom4([4]byte{192, 0, 2, 250})

// defaultWindow is what a socket buffer holds before autotuning.
const defaultWindow = 64 << 10

// A Link is the way to one host. The zero Link is instant, with a window of 64 KiB.
type Link struct {
	Latency time.Duration // one way
	Window  int           // octets under way in each direction that the reader has not taken; 0 is 64 KiB

	BlackHole   bool  // a dial is never answered
	Refuse      bool  // a dial gets ECONNREFUSED, whatever listens
	Unreachable bool  // a dial gets EHOSTUNREACH
	DialError   error // a dial fails with this at once: a fault of our own machine (EMFILE, EADDRNOTAVAIL)

	StallAfter int // octets of a connection to the host; those beyond never arrive (a path MTU black hole); 0 is never
	ResetAfter int // octets of a connection to the host; then it resets the connection; 0 is never
}

// A Net is one internet. Its methods may be called from any goroutine of the bubble it was made in.
type Net struct {
	mu        sync.Mutex // guards everything in the package; never held while waiting
	normal    Link       // of hosts that Host was not told of
	hosts     map[netip.Addr]*host
	listeners map[netip.AddrPort]*Listener
	dials     map[netip.AddrPort]int
	open      int           // ends of connections that were not closed
	port      uint16        // the last one given to a client or to a listener on port 0
	cut       bool          // the whole net is partitioned
	changed   chan struct{} // closed and replaced when a link changes: dials under way look again
}

// A host is one address and what its link holds back.
type host struct {
	link Link
	own  bool // Host was called: Default does not apply
	cut  bool
	held []func() // packets that arrived during a cut, in order
}

// New returns an internet without listeners whose links are all the zero Link.
func New() *Net {
	return &Net{
		hosts:     make(map[netip.Addr]*host),
		listeners: make(map[netip.AddrPort]*Listener),
		dials:     make(map[netip.AddrPort]int),
		port:      49151, // the first port given away is 49152 (RFC 6335 section 6)
		changed:   make(chan struct{}),
	}
}

// Default sets the link of every host that Host is not called for.
func (n *Net) Default(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.normal = l
	for _, h := range n.hosts {
		if !h.own {
			h.link = l
		}
	}
	n.wakeDials()
}

// Host sets the link of one host. Connections that exist and dials under way feel the change at once.
func (n *Net) Host(addr netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(addr)
	h.link, h.own = l, true
	n.wakeDials()
}

// Cut partitions these hosts from the rest of the net, or, without arguments, everybody from everybody.
func (n *Net) Cut(addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(addrs) == 0 {
		n.cut = true
	}
	for _, a := range addrs {
		n.host(a).cut = true
	}
}

// Heal ends the cut of these hosts, or, without arguments, all cuts. What was sent meanwhile arrives one latency later.
func (n *Net) Heal(addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(addrs) == 0 {
		n.cut = false
		for _, h := range n.hosts {
			h.cut = false
		}
	}
	for _, a := range addrs {
		n.host(a).cut = false
	}
	n.release()
	n.wakeDials()
}

// Dials counts the dials to each address so far, whatever became of them.
func (n *Net) Dials() map[netip.AddrPort]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := make(map[netip.AddrPort]int, len(n.dials))
	for a, c := range n.dials {
		counts[a] = c
	}
	return counts
}

// Open is the number of ends of connections that were not closed: 0 at the end of a test that leaks nothing. An end in a
// listener's queue counts.
func (n *Net) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// host returns the host of an address. The caller holds n.mu.
func (n *Net) host(addr netip.Addr) *host {
	addr = addr.Unmap()
	h := n.hosts[addr]
	if h == nil {
		h = &host{link: n.normal}
		n.hosts[addr] = h
	}
	return h
}

// nextPort gives an ephemeral port away. The caller holds n.mu.
func (n *Net) nextPort() uint16 {
	if n.port == 65535 {
		n.port = 49151
	}
	n.port++
	return n.port
}

// wakeDials makes dials under way look at their link again. The caller holds n.mu.
func (n *Net) wakeDials() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// send calls arrive, with n.mu held, when a packet sent now has crossed h's link. The caller holds n.mu. Packets that
// arrive at the same instant may come in any order, so arrive must take the next one of a queue.
func (n *Net) send(h *host, arrive func()) {
	if h.link.Latency <= 0 {
		n.land(h, arrive)
		return
	}
	time.AfterFunc(h.link.Latency, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.land(h, arrive)
	})
}

// land is the arrival of a packet: during a cut it is lost, and repeated when the cut ends.
func (n *Net) land(h *host, arrive func()) {
	if n.cut || h.cut {
		h.held = append(h.held, arrive)
		return
	}
	arrive()
}

// release sends again what cuts that are over held back. The caller holds n.mu.
func (n *Net) release() {
	if n.cut {
		return
	}
	for _, h := range n.hosts {
		if h.cut {
			continue
		}
		held := h.held
		h.held = nil
		for _, arrive := range held {
			n.send(h, arrive)
		}
	}
}
