package internet

import "sync/atomic"

// turns are handshakes of TLS that are under way at once, in all hosts together. In a world of many machines thousands of them disturb
// nobody. Here all would be runnable together, and the DNS server of the same process, which waits behind them, would be the slowest of
// all.
type turns chan struct{}

// most is how many there are. A turn lasts a round trip and the computing, so this many bring thousands a second.
const most = 128

// recordHandshake is the first octet of a ClientHello (RFC 8446 section 5.1). SMTP's commands begin with letters.
const recordHandshake = 22

// A turn is one connection's. Came is for its reader, end for everybody.
type turn struct {
	of   turns
	had  bool
	have atomic.Bool
}

// came waits for the turn when a handshake begins. What comes later in it costs little.
func (t *turn) came(b []byte) {
	if t.had || len(b) == 0 || b[0] != recordHandshake {
		return
	}
	t.had = true
	t.of <- struct{}{}
	t.have.Store(true)
}

// end gives the turn back, with the answer or the connection.
func (t *turn) end() {
	if t.have.Swap(false) {
		<-t.of
	}
}
