package lmtp

import (
	"sync"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A memory counts the octets of contents held, and keeps equal contents of envelopes held at once as one body: hosts split a
// list into chunks, and list servers into batches, that differ in their recipients only.
type memory struct {
	mu     sync.Mutex
	limit  int64
	used   int64
	bodies map[[32]byte]*content
}

// A content is a body that envelopes hold.
type content struct {
	body    *wire.Body
	holders int // envelopes, and notifications that are being sent
}

func newMemory(limit int64) memory {
	return memory{limit: limit, bodies: make(map[[32]byte]*content)}
}

// room says whether n more octets could be held now; for n = 0, whether any could.
func (m *memory) room(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used+max(n, 1) <= m.limit
}

// take counts n more octets, unless they are too many.
func (m *memory) take(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used+n > m.limit {
		return false
	}
	m.used += n
	return true
}

// give counts n octets less.
func (m *memory) give(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
}

// share exchanges a body, for which taken octets are counted, for the one of its content; equal says that there was one. From
// then on it is counted once for all its holders, until the last of them calls release.
func (m *memory) share(b *wire.Body, taken int64) (c *content, equal bool) {
	key := b.Digest()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= taken
	c, equal = m.bodies[key]
	if !equal {
		c = &content{body: b}
		m.bodies[key] = c
		m.used += b.Memory()
	}
	c.holders++
	return c, equal
}

// hold adds a holder, which calls release once.
func (m *memory) hold(c *content) (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.holders++
	return func() { m.release(c) }
}

// release is called once by every holder.
func (m *memory) release(c *content) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.holders--
	if c.holders > 0 {
		return
	}
	delete(m.bodies, c.body.Digest())
	m.used -= c.body.Memory()
}

func (m *memory) held() (octets int64, bodies int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, len(m.bodies)
}
