package mxsim

import (
	"crypto/tls"
	"net"
	"strings"
	"time"
)

// startTLS answers the command, and makes the handshake once the 220 is on the wire.
func (x *session) startTLS() {
	reply := ""
	if x.s.c.StartTLS != nil {
		reply = x.s.c.StartTLS(x.n)
	}
	switch {
	case !x.offer().startTLS:
		x.violation("STARTTLS was not offered", nil)
		reply = "502 5.5.1 not offered"
	case x.channel != nil:
		reply = "503 5.5.1 TLS is active already" // RFC 3207 section 4.2: offered, it must not be asked for
		x.violation("STARTTLS inside TLS", nil)
	case reply == "":
		reply = "220 2.0.0 go ahead"
	}
	x.reply(reply)
	if !strings.HasPrefix(reply, "220") {
		x.syncPoint("STARTTLS")
		return
	}
	x.flush()
	x.out.drain()
	if x.r < x.w {
		// RFC 3207 section 6: what came in clear text before the handshake must be discarded.
		x.violation("octets between STARTTLS and the handshake", x.buf[x.r:x.w])
		x.r = x.w
	}
	x.handshake()
}

// handshake makes the server's side. Where it fails the connection is closed.
func (x *session) handshake() bool {
	flights := &flights{Conn: x.raw, rtt: x.s.c.RTT}
	t := tls.Server(flights, x.s.c.TLS)
	err := t.Handshake()
	state := t.ConnectionState()
	x.s.shaken(err == nil, state.DidResume)
	if err != nil {
		x.raw.Close()
		return false
	}
	flights.rtt = 0 // from here on the outbox takes care of it
	x.conn, x.out.conn, x.out.bare = t, t, x.s.c.Unclean
	x.channel = &Channel{tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.ServerName, state.DidResume}
	// RFC 3207 section 4.2: "The server MUST discard any knowledge obtained from the client".
	x.txn, x.user, x.owed.after = transaction{}, "", ""
	return true
}

// shaken counts a handshake.
func (s *Server) shaken(well, resumed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !well:
		s.stats.Unshaken++
		return
	case resumed:
		s.stats.Resumed++
	}
	s.stats.Handshakes++
}

// flights is a connection during the handshake: each flight of the server's that the client waits for leaves a round trip after
// what it answers. In TLS 1.3, and where a session of TLS 1.2 is resumed, that is the first one only; tickets need not be waited for.
type flights struct {
	net.Conn
	rtt  time.Duration
	done bool // the client has all that it waits for
}

func (f *flights) Write(b []byte) (int, error) {
	if f.rtt > 0 && !f.done {
		time.Sleep(f.rtt)
		f.done = changesCipher(b)
	}
	return f.Conn.Write(b)
}

// changesCipher says that not all records of a flight are handshake ones in the clear: it goes on to the end of the handshake.
func changesCipher(flight []byte) bool {
	for len(flight) >= recordHeader {
		if flight[0] != recordHandshake {
			return true
		}
		flight = flight[min(len(flight), recordHeader+int(flight[3])<<8+int(flight[4])):]
	}
	return false
}
