package feed

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

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
