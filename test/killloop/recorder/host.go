package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/test/killloop"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A host is one of the mail hosts, and the listener of its server.
type host struct {
	listener net.Listener
	name     string // of the process
	journal  *journal

	mu       sync.Mutex // guards what follows
	sessions []int64    // when each began, in nanoseconds since 1970
}

// config is that of the i-th host's server.
func (h *host) config(c config, i int) mxsim.Config {
	return mxsim.Config{
		Name: c.hosts[i], RTT: c.rtt, Processing: c.processing * time.Duration(i+1),
		Mail: func(string) string {
			h.journal.signal(killloop.Began)
			return ""
		},
		Final: h.take,
		Sink:  func(*mxsim.Message) {},
	}
}

// take keeps a message and returns the reply to it.
func (h *host) take(m *mxsim.Message) string {
	id := fmt.Sprintf("%s-%d", h.name, h.journal.number.Add(1))
	err := h.journal.write(killloop.Entry{
		Kind: killloop.Taken, IDs: []string{id}, Since: h.since(m.Session),
		From: m.From, To: m.To, Digest: hex.EncodeToString(m.Digest[:8]),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		return "451 4.3.0 the message cannot be kept"
	}
	h.journal.signal(killloop.Kept)
	return killloop.Reply(id)
}

// since is when the server's n-th session began.
func (h *host) since(n int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[n-1]
}

// Accept notes when a session begins. The server numbers them in the order in which it is given them.
func (h *host) Accept() (net.Conn, error) {
	c, err := h.listener.Accept()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions = append(h.sessions, time.Now().UnixNano())
	return noting{c.(*net.TCPConn), h.journal}, nil
}

// Close and Addr are the listener's.
func (h *host) Close() error   { return h.listener.Close() }
func (h *host) Addr() net.Addr { return h.listener.Addr() }

// A noting connection is a TCP connection, half-closed and reset as one. It notes which replies were written.
type noting struct {
	*net.TCPConn
	journal *journal
}

// Write notes what the kernel has taken: the client can read it, also when this process is killed now. A reply that cannot be
// noted counts as not given.
func (c noting) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	if ids := killloop.ToldIn(b[:n]); len(ids) > 0 && c.journal.write(killloop.Entry{Kind: killloop.Told, IDs: ids}) == nil {
		c.journal.signal(killloop.Answered)
	}
	return n, err
}
