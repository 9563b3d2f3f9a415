package mxsim

import (
	"strings"
	"sync"
	"time"
)

// A Message is one transaction that reached its end of data: the final dot, or the last octet of BDAT LAST.
type Message struct {
	Session     int       // of the server, from 1
	Transaction int       // of the session, from 1: MAIL commands that were accepted
	From        string    // between the angle brackets
	Params      string    // of MAIL, as sent
	To          []string  // accepted recipients, between the angle brackets, in order
	Refused     int       // RCPT without 2xx
	Chunks      int       // BDAT commands that it came by; 0 is DATA
	Size        int64     // octets of the content, dot-stuffing undone where it came by DATA
	Digest      [32]byte  // SHA-256 of those octets
	Content     []byte    // only with Config.KeepContent
	At          time.Time // when its dot arrived
	TLS         bool      // it came encrypted
	Reply       string    // final reply, HangUp, Abort or Mute
}

// Accepted says that the final reply was 2xx: the recipients are this server's now.
func (m *Message) Accepted() bool { return strings.HasPrefix(m.Reply, "2") }

// A Greylist refuses every recipient once. The zero Greylist is ready; Rcpt is a hook for Config.
type Greylist struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// Rcpt answers 450 4.2.0 the first time it is asked for an address.
func (g *Greylist) Rcpt(to string, _ int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.seen[to]; ok {
		return ""
	}
	if g.seen == nil {
		g.seen = make(map[string]struct{})
	}
	g.seen[to] = struct{}{}
	return "450 4.2.0 greylisted, try again later"
}

// Forget makes every address new again.
func (g *Greylist) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = nil
}
