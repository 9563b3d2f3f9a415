package internet

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// maxListed bounds the lists of a report.
const maxListed = 100

// A tally is what arrived. It costs some 30 octets a recipient.
type tally struct {
	c    *Config
	seed maphash.Seed

	mu         sync.Mutex          // never held while waiting
	seen       map[uint64]struct{} // recipient and content, hashed: the same again is a duplicate
	numbers    []uint64            // a bit for each number of Recipient that arrived
	arrivals   []arrival
	contents   map[[32]byte]struct{}
	channels   map[string]int // transactions
	recipients int
	octets     int64
	duplicates Addresses
	misrouted  Addresses
	unknown    Addresses
	missent    Addresses
}

// An arrival is one transaction.
type arrival struct {
	at time.Time
	n  int // recipients
}

// Addresses are counted, and the first hundred kept.
type Addresses struct {
	Count int      `json:"count"`
	First []string `json:"first,omitempty"`
}

func (a *Addresses) add(address string) {
	a.Count++
	if len(a.First) < maxListed {
		a.First = append(a.First, address)
	}
}

func (a *Addresses) copy() Addresses { return Addresses{a.Count, slices.Clone(a.First)} }

func newTally(c *Config) *tally {
	t := &tally{c: c, seed: maphash.MakeSeed()}
	t.reset()
	return t
}

func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen, t.contents, t.channels = make(map[uint64]struct{}), make(map[[32]byte]struct{}), make(map[string]int)
	t.numbers, t.arrivals = nil, nil
	t.recipients, t.octets = 0, 0
	t.duplicates, t.misrouted, t.unknown, t.missent = Addresses{}, Addresses{}, Addresses{}, Addresses{}
}

// take counts one message that host j accepted or refused.
func (t *tally) take(j int, m *mxsim.Message) {
	if !m.Accepted() {
		return
	}
	content := maphash.Bytes(t.seed, m.Digest[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrivals = append(t.arrivals, arrival{m.At, len(m.To)})
	t.contents[m.Digest] = struct{}{}
	t.channels[channel(m)]++
	t.recipients += len(m.To)
	t.octets += m.Size
	for _, to := range m.To {
		t.recipient(j, to, content)
	}
	if !t.c.sentRight(m) {
		t.missent.add(m.From)
	}
}

// channel names what protected a message on its way.
func channel(m *mxsim.Message) string {
	if m.Channel == nil {
		return Plaintext
	}
	return m.Channel.Version + " " + m.Channel.Cipher
}

// Plaintext is the channel of a message without TLS.
const Plaintext = "plaintext"

func (t *tally) recipient(j int, to string, content uint64) {
	// Rotated, so that two addresses cannot cancel two contents out.
	key := maphash.String(t.seed, to) ^ bits.RotateLeft64(content, 17)
	if _, ok := t.seen[key]; ok {
		t.duplicates.add(to)
	}
	t.seen[key] = struct{}{}
	at := strings.LastIndexByte(to, '@')
	i, ok := domainIndex(strings.ToLower(to[at+1:]))
	switch {
	case !ok || i >= t.c.domains():
		t.unknown.add(to)
		return
	case !t.c.serves(j, i):
		t.misrouted.add(to)
	}
	if n, ok := t.c.numberOf(to[:max(at, 0)]); ok && t.c.domainOf(n) == i {
		t.mark(n)
	}
}

// serves says that host j is an exchanger of domain i.
func (c *Config) serves(j, i int) bool {
	return slices.Contains(c.exchangers(i), j)
}

// maxNumber bounds the memory that an address can ask for.
const maxNumber = 1 << 30

func (t *tally) mark(i int) {
	if i >= maxNumber {
		return
	}
	if i/64 >= len(t.numbers) {
		t.numbers = append(t.numbers, make([]uint64, i/64+1-len(t.numbers)+len(t.numbers)/2)...)
	}
	t.numbers[i/64] |= 1 << (i % 64)
}

// missing lists the recipients below n that will arrive at the latest at a second try and have not.
func (t *tally) missing(n int) Addresses {
	t.mu.Lock()
	defer t.mu.Unlock()
	var l Addresses
	for i := range n {
		if f := fate(i, t.c); f != User && f != Grey {
			continue
		}
		if i/64 >= len(t.numbers) || t.numbers[i/64]>>(i%64)&1 == 0 {
			l.add(Recipient(i, *t.c))
		}
	}
	return l
}
