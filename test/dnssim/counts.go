package dnssim

import (
	"maps"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// counts is how often what was asked.
type counts struct {
	mu    sync.Mutex
	types map[uint16]int
	names map[dns.Question]int
}

func (c *counts) add(q dns.Question) {
	q.Name = strings.ToLower(q.Name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.types == nil {
		c.types, c.names = make(map[uint16]int), make(map[dns.Question]int)
	}
	c.types[q.Qtype]++
	c.names[q]++
}

// Queries returns how many questions of each type came, repeated ones included.
func (c *counts) Queries() map[uint16]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.types)
}

// Asked returns how often one question came; the name is folded and needs no final dot.
func (c *counts) Asked(name string, qtype uint16) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[dns.Question{Name: dns.Fqdn(strings.ToLower(name)), Qtype: qtype, Qclass: dns.ClassINET}]
}
