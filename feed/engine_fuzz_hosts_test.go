package feed

import (
	"errors"
	"os"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// What the hosts of the fuzzed model do.

func (w *model) answerDial() {
	if len(w.dials) == 0 {
		return
	}
	id := w.dials[0]
	w.dials = w.dials[1:]
	caps := wire.Caps{Pipelining: true}
	switch w.pick(12) {
	case 10:
		w.event(ended{session: id, closing: closing{stage: stageHandshake, err: errors.New("alert"),
			tls: &tlsError{result: "validation-failure", status: status475, hello: w.pick(2) == 1, final: w.pick(8) == 1, err: errors.New("alert")}}})
		return
	case 11:
		caps.StartTLS, caps.RequireTLS, caps.SMTPUTF8 = true, true, true
	case 0:
		w.event(ended{session: id, closing: closing{stage: stageConnect, err: errors.New("refused"), noRoute: w.pick(2) == 1, unbound: w.pick(4) == 1}})
		return
	case 1:
		w.event(ended{session: id, closing: closing{stage: stageConnect, err: errors.New("too many open files"), local: true}})
		return
	case 2:
		w.event(ended{session: id, closing: closing{stage: stageGreeting, reply: wire.Reply{Code: 421}}})
		return
	case 3:
		caps.MailMax = 1 + w.pick(3)
	case 4:
		caps.RcptDomainMax = 1 + w.pick(2)
	case 5:
		caps.RcptMax = 1 + w.pick(2)
	case 6:
		caps.HasSize, caps.Size = true, int64(1+w.pick(2))
	}
	w.open = append(w.open, id)
	w.event(opened{session: id, caps: caps})
}

// answerTransaction clears or finishes the first transaction of some session.
func (w *model) answerTransaction(how int) {
	var busy []sessionID
	for _, id := range w.open {
		if len(w.hands[id]) > 0 {
			busy = append(busy, id)
		}
	}
	if len(busy) == 0 {
		return
	}
	id := busy[w.pick(len(busy))]
	if how > 13 && !w.clear[id] {
		w.clear[id] = true
		w.event(cleared{session: id, transaction: w.hands[id][0].transaction})
		return
	}
	w.report(id, how)
}

func (w *model) report(id sessionID, how int) {
	o := w.hands[id][0]
	w.hands[id] = w.hands[id][1:]
	w.clear[id] = false
	r := w.reportOf(o, how)
	if !w.e.forsaken[id] {
		w.ledger.report(o, r)
	}
	over := r.last()
	w.event(finished{session: id, report: r})
	if over {
		w.end(id, closing{stage: r.stage, err: r.err})
	}
}

func (w *model) reportOf(o *order, how int) *report {
	if how == 0 && w.pick(8) == 1 { // a host that wants TLS
		r := &report{transaction: o.transaction, mail: wire.Reply{Code: 530}, data: wire.Reply{Code: 503}}
		for range o.to {
			r.rcpts = append(r.rcpts, wire.Reply{Code: 503})
		}
		return r
	}
	r := &report{transaction: o.transaction, mail: wire.Reply{Code: 250}, data: wire.Reply{Code: 354}, final: wire.Reply{Code: 250}, dotted: true}
	codes := []int{250}
	switch how {
	case 1:
		*r = report{transaction: o.transaction, err: errors.New("EOF"), stage: stageMail}
		return r
	case 2:
		*r = report{transaction: o.transaction, mail: wire.Reply{Code: 421}}
		return r
	case 3:
		r.final, r.err, r.stage = wire.Reply{}, errors.New("EOF"), stageFinal
	case 4:
		r.final = wire.Reply{Code: 451}
	case 5:
		r.final = wire.Reply{Code: 554}
	case 6:
		codes = []int{250, 452}
	case 7:
		codes = []int{450, 250, 550}
	case 8:
		r.dotted, r.final, r.err = false, wire.Reply{}, errors.New("reset")
	case 9:
		r.dotted, r.final, r.err, r.local = false, wire.Reply{}, errors.New("late"), true
	case 10:
		r.dotted, r.final, r.data, r.err = false, wire.Reply{}, wire.Reply{}, &protocolError{stage: stageRcpt, reason: "lost count"}
	case 11:
		*r = report{transaction: o.transaction, mail: wire.Reply{Code: 250}, err: brokenAt(stageRcpt, os.ErrDeadlineExceeded), stage: stageRcpt}
		return r
	case 13:
		*r = report{transaction: o.transaction, mail: wire.Reply{Code: 501}, data: wire.Reply{Code: 503}}
		codes = []int{503}
	case 12:
		*r = report{transaction: o.transaction, mail: wire.Reply{Code: 452, Text: "too many messages"}, data: wire.Reply{Code: 503}}
		codes = []int{503}
	}
	for i := range o.to {
		r.rcpts = append(r.rcpts, wire.Reply{Code: codes[i%len(codes)]})
	}
	return r
}

// end ends a session, with whatever order crossed with its end still in its hands.
func (w *model) end(id sessionID, c closing) {
	for i, o := range w.open {
		if o == id {
			w.open = append(w.open[:i], w.open[i+1:]...)
			break
		}
	}
	delete(w.hands, id)
	w.event(ended{session: id, closing: c})
}
