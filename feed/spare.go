package feed

import (
	"errors"
	"os"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A host at which TLS fails is spared it, where no policy demands it: when it has failed at several of its addresses, and until it
// refuses mail for want of it.

// A machine whose TLS is broken may stand at one address of many. So before the host is spared TLS, others are tried: this many
// have to fail, and fewer where each failure is a wait.
const (
	spoiltEnough     = 3
	spoiltEnoughSlow = 2
)

// elsewhere notes that TLS failed at an address, and says that another one is worth trying before the host is.
func (e *engine) elsewhere(h *host, addr int, why *tlsError) bool {
	h.spoilt[addr] = e.now.Add(bareTime)
	enough, spoilt, other := spoiltEnough, 0, false
	if errors.Is(why, os.ErrDeadlineExceeded) {
		enough = spoiltEnoughSlow
	}
	for i, until := range h.spoilt {
		switch {
		case e.now.Before(until.Add(bareTime)): // longer than it is left alone: a host may greet after minutes
			spoilt++
		case !e.now.Before(h.bad[i].Add(bareTime)) && !e.now.Before(e.familyOf(h, i).until):
			other = true // one that failed while this one was tried would have them take turns for ever
		}
	}
	return other && spoilt < enough
}

// judgeBare is the table for a server that wants TLS and was spared it, because that had failed: it is tried once more, and believed when that
// fails again. The next message is tried with TLS first.
func (t *trial) judgeBare(i int, v verdict) verdict {
	o := v.outcome
	if !t.flight.wanted {
		t.insists = true
		return verdict{step: stepAgain, outcome: o, free: true}
	}
	if isEncryptionNeeded(o.Reply) { // words alone are not worth another handshake each time
		t.insists = true
	}
	switch {
	case o.Class == Failed && t.toRelay(i): // the operator's to mend
		v = t.replied(Deferred, o.Reply)
		v.outcome.Status = status474
	case o.Reply.Code == 530 && o.Class == Failed:
		o.Status = wire.Enhanced{Class: 5, Subject: 7, Detail: 10}
	}
	return v
}
