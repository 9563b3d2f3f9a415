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
	Channel     *Channel  // how; nil in plaintext. Shared by the messages of a session
	User        string    // who sent it, by AUTH; "" when nobody said so
	ToParams    []string  // of RCPT, as sent, for each of To; nil when there were none
	Reply       string    // final reply, HangUp, Abort or Mute
}

// Accepted says that the final reply was 2xx: the recipients are this server's now.
func (m *Message) Accepted() bool { return strings.HasPrefix(m.Reply, "2") }

// Param is a parameter of MAIL: "HDRS" for "RET". ok says that it was given.
func (m *Message) Param(key string) (value string, ok bool) { return param(m.Params, key) }

// ToParam is a parameter of To[i]'s RCPT: "NEVER" for "NOTIFY".
func (m *Message) ToParam(i int, key string) (value string, ok bool) {
	if m.ToParams == nil {
		return "", false
	}
	return param(m.ToParams[i], key)
}

func param(params, key string) (value string, ok bool) {
	for p := range strings.FieldsSeq(params) {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(k, key) {
			return v, true
		}
	}
	return "", false
}

// A Channel is what protects a session.
type Channel struct {
	Version    string // "TLS 1.3"
	Cipher     string // "TLS_AES_128_GCM_SHA256"
	ServerName string // SNI, "" when the client sent none
	Resumed    bool
}

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
