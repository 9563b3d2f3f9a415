package lmtp

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Peers are the users who may connect to unix sockets. LMTP knows no authentication, but the kernel knows as whom the process ran
// that connected. The mode of a socket names one group, which may have more members than the host MTA; this list names users.
//
// Root and the user we run as always may: each of them could take a listed user's place, or the socket's, so that refusing them would
// protect nothing. TCP sockets have no such knowledge and are not guarded.
//
// Methods may be called from any goroutine. A nil *Peers, and one of no users, guards nothing.
type Peers struct {
	allowed map[uint32]bool // by user id, as this process sees it
	refused atomic.Uint64
	lines   refusalLines
}

// NewPeers makes the list of users given by name or number. Unknown names are errors, and so are users whom the kernel cannot tell
// from others here: then everybody might be let in, or nobody. A nil log discards.
func NewPeers(users []string, log *slog.Logger) (*Peers, error) {
	p := &Peers{lines: refusalLines{log: log}}
	orDefault(&p.lines.log, slog.New(slog.DiscardHandler))
	if len(users) == 0 {
		return p, nil
	}
	p.allowed = map[uint32]bool{0: true, uint32(os.Geteuid()): true}
	for _, name := range users {
		uid, err := uidOf(name)
		if err == nil {
			err = distinct(uid)
		}
		if err != nil {
			return nil, fmt.Errorf("lmtp: peers: %w", err)
		}
		p.allowed[uid] = true
	}
	return p, nil
}

// uidOf is the number of a user. Digits are a number, as chown(1) takes them where no user has that name.
func uidOf(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("no user %q on this machine; write a name of /etc/passwd, or a number", name)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user %q has no number: %q", name, u.Uid)
	}
	return uint32(n), nil
}

// Refused is how many connections were refused.
func (p *Peers) Refused() uint64 {
	if p == nil {
		return 0
	}
	return p.refused.Load()
}

// Guard returns a listener that accepts only from the listed users; l itself where there is nothing to guard. It guards sockets that
// Listen opened as well as those of others.
func (p *Peers) Guard(l net.Listener) net.Listener {
	if p == nil || p.allowed == nil || l.Addr().Network() != "unix" {
		return l
	}
	return &guarded{Listener: l, peers: p}
}

// A guarded listener is behind Peers.Guard.
type guarded struct {
	net.Listener
	peers *Peers
}

// Accept returns the next connection of a listed user. It waits for nothing that a refused one does.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.peers.admit(c) {
			return c, nil
		}
	}
}

// admit refuses a connection of a user who is not listed, or of whom nothing is known.
func (p *Peers) admit(c net.Conn) bool {
	who, err := credentials(c)
	if err == nil && p.allowed[who.uid] {
		return true
	}
	p.lines.tell(time.Now(), who, err, p.refused.Add(1))
	p.refuse(c, who)
	return false
}

// refuse says so in a greeting on which every host MTA keeps its mail: to Postfix a 4xx there is a destination that does not work for
// now, which it tries again by itself, and it costs one connection instead of one for each message. 421 is what RFC 5321 section
// 4.5.1 has for a connection that ends, and X.7.1 of RFC 3463 is for what the operator's policy does not allow.
//
// A new socket has room for a line, and closing it takes nothing of that away, so nobody is waited for.
func (p *Peers) refuse(c net.Conn, who peer) {
	c.SetWriteDeadline(time.Now().Add(time.Second))
	text := "the user of this connection is unknown"
	if who.known {
		text = "user " + strconv.FormatUint(uint64(who.uid), 10) + " is not in lmtp.peers"
	}
	io.WriteString(c, "421 4.7.1 "+text+"\r\n") // best effort: the connection ends either way
	c.Close()
}

// A peer is the process that connected.
type peer struct {
	known    bool // the others mean something
	uid, gid uint32
	pid      int32
}

// refusalPause is how long nothing is logged behind a line about a refusal: whoever may not connect can do so for ever, and must not
// fill the log.
const refusalPause = 10 * time.Second

// refusalLines writes one line for many refusals.
type refusalLines struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	silent time.Time  // until then
}

// tell logs a refusal, with how many there were so far, unless another was just logged.
func (r *refusalLines) tell(now time.Time, who peer, err error, refused uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.silent) {
		return
	}
	r.silent = now.Add(refusalPause)
	attrs := []any{"refused", refused, "uid", who.uid, "gid", who.gid, "pid", who.pid}
	if err != nil {
		attrs = []any{"refused", refused, "error", err}
	}
	r.log.Warn("lmtp: a connection was refused, because its user is not in lmtp.peers", attrs...)
}
