package feed

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// A chooser makes choices of bytes; it is a kind of 0 when they are used up.
type chooser []byte

func (c *chooser) pick(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % n
}

// name is a host name of characters that names have: few, so that some are equal, and some parts of others.
func (c *chooser) name() string {
	const chars = "ab1-_."
	b := []byte{"abd"[c.pick(3)]}
	for range c.pick(5) {
		b = append(b, chars[c.pick(len(chars))])
	}
	return string(b) + []string{"", ".test"}[c.pick(2)]
}

func (c *chooser) exchanger() *resolver.MX {
	mx := &resolver.MX{Name: c.name(), Preference: []int{0, resolver.FallbackPreference}[c.pick(2)], Configured: c.pick(2) == 1, Secure: c.pick(2) == 1}
	if c.pick(3) == 0 {
		mx.DANE = &resolver.DANE{Base: c.name()}
		for range 1 + c.pick(2) {
			mx.DANE.Names = append(mx.DANE.Names, c.name())
			r := resolver.TLSA{Usage: uint8(c.pick(4)), Selector: uint8(c.pick(2)), Matching: 1, Data: fmt.Sprintf("%032d", c.pick(3))}
			mx.DANE.Records = append(mx.DANE.Records, r)
		}
	}
	return mx
}

func (c *chooser) tls() TLS {
	t := TLS{Mode: TLSMode(c.pick(3))}
	for _, list := range []*[]Destination{&t.Relays, &t.Destinations} {
		for range c.pick(3) {
			d := Destination{Domain: []string{"*", ".test", c.name(), c.name()}[c.pick(4)], Mode: TLSMode(c.pick(4)), Implicit: c.pick(2) == 1, Plain: c.pick(4) == 1}
			for range c.pick(3) {
				d.Names = append(d.Names, c.name())
			}
			if c.pick(2) == 1 {
				d.Auth, d.AuthInClear = &Credentials{User: c.name(), Password: c.name()}, c.pick(2) == 1
			}
			*list = append(*list, d)
		}
	}
	return t
}

// policy is that of some exchanger of some domain.
func (c *chooser) policy(e *engine) (*policy, *resolver.MX) {
	mx, domain := c.exchanger(), c.name()
	rt := &resolver.Route{Domain: domain}
	if c.pick(3) > 0 {
		rt.STS = &sts.Policy{Domain: domain, Mode: sts.Mode(c.pick(3)), MX: []string{c.name(), mx.Name, "*.test"}[:1+c.pick(3)]}
	}
	p, _ := e.policyOf(&route{domain: domain, need: need(c.pick(3))}, rt, mx)
	return p, mx
}

// addrs are few, in the order of keysOf.
func (c *chooser) addrs() (addrs []netip.AddrPort) {
	for i := range 2 {
		if c.pick(2) == 1 {
			addrs = append(addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(25+c.pick(2))))
		}
	}
	if len(addrs) == 0 || c.pick(2) == 1 {
		addrs = append(addrs, netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 25))
	}
	return addrs
}

// substance is all of a policy that decides what a session is like; its key and its words are left out.
func (p *policy) substance() policy {
	s := *p
	s.key, s.word = "", ""
	return s
}

// source is where a policy comes from: what the operator says of a domain stays apart from what he says of all, also when it is the same.
func (p *policy) source() string {
	word, _, _ := strings.Cut(p.key, " ")
	return word
}

// FuzzPolicyKeys takes two exchangers under one configuration. Policies of one key are equal, policies that are equal and of one source have one
// key, and no host is found under the key of another.
func FuzzPolicyKeys(f *testing.F) {
	for i := range 40 {
		seed := make([]byte, 90)
		for j := range seed {
			seed[j] = byte(i * (j + 7) >> (j % 5))
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		c := chooser(script)
		e := newEngine(Config{TLS: c.tls()}.withDefaults())
		p, mx := c.policy(e)
		q, my := c.policy(e)
		if p == nil || q == nil {
			return
		}
		same := reflect.DeepEqual(p.substance(), q.substance())
		if p.key == q.key && !same {
			t.Fatalf("one key %q for %+v and %+v", p.key, *p, *q)
		}
		if p.key != q.key && same && p.source() == q.source() && p.word == q.word && mx.Name == my.Name && p.auth == nil && !p.implicit {
			t.Fatalf("keys %q and %q for the same policy %+v", p.key, q.key, *p)
		}
		a, b := c.addrs(), c.addrs()
		checkKeys(t, p, q, mx.Name, my.Name, a, b)
	})
}

func checkKeys(t *testing.T, p, q *policy, x, y string, a, b []netip.AddrPort) {
	all, v4 := keysOf(x, a, p)
	other, other4 := keysOf(y, b, q)
	switch {
	case all == other && (p.key != q.key || !reflect.DeepEqual(a, b)):
		t.Fatalf("hosts %v under %q and %v under %q have one key %q", a, p.key, b, q.key, all)
	case v4 != "" && v4 == other4 && (p.key != q.key || x != y):
		t.Fatalf("hosts %q under %q and %q under %q have one key %q", x, p.key, y, q.key, v4)
	case v4 != "" && v4 == other, other4 != "" && other4 == all:
		t.Fatalf("a host's key by address is another's by name: %q, %q; %q, %q", all, v4, other, other4)
	}
}
