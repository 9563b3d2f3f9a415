package feed

import (
	"errors"
	"fmt"
	"slices"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// What recipients are told where no transaction came to be: of hosts that could not be reached and domains without a route.

var (
	status430 = wire.Enhanced{Class: 4, Subject: 3, Detail: 2}
	status441 = wire.Enhanced{Class: 4, Subject: 4, Detail: 1}
	status442 = wire.Enhanced{Class: 4, Subject: 4, Detail: 2}
	status450 = wire.Enhanced{Class: 4, Subject: 5, Detail: 0}
)

// statusOf is a reply's enhanced status, or X.0.0 when it has none of that class.
func statusOf(r wire.Reply, class int) wire.Enhanced {
	if int(r.Enhanced.Class) == class {
		return r.Enhanced
	}
	return wire.Enhanced{Class: uint16(class)}
}

// statusOfError is the enhanced status of a dialogue that broke off.
func statusOfError(err error) wire.Enhanced {
	var syntax *wire.SyntaxError
	var protocol *protocolError
	if errors.As(err, &syntax) || errors.As(err, &protocol) {
		return status450
	}
	return status442
}

// hostOutcome is what recipients are told of a host that could not be reached. Before MAIL a fault is about the host, never a
// refusal of the message: a 5xx greeting too is temporary (RFC 5321 section 3.1 lets a host refuse all service so).
func hostOutcome(c closing, via *Via) *Outcome {
	o := &Outcome{Class: Deferred, Via: via, Reply: c.reply, Err: c.err}
	var auth *authError
	switch {
	case c.tls != nil:
		o.Status = c.tls.status
		if c.reply.Code != 0 {
			o.Err = nil
		}
	case errors.As(c.err, &auth):
		o.Status = auth.status
	case c.reply.Code/100 == 4:
		o.Status, o.Err = statusOf(c.reply, 4), nil
	case c.reply.Code != 0:
		o.Status, o.Err = status430, nil
	case c.stage == stageConnect:
		o.Status = status441
	default:
		o.Status = statusOfError(c.err)
	}
	return o
}

// routeOutcome is what recipients are told of a domain without a route.
func routeOutcome(err error) *Outcome {
	o := &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 3}, Err: err}
	var re *resolver.Error
	if !errors.As(err, &re) {
		return o
	}
	switch re.Kind {
	case resolver.NoSuchDomain:
		o.Class, o.Status = Failed, wire.Enhanced{Class: 5, Subject: 1, Detail: 2}
	case resolver.NullMX:
		// RFC 7505 section 4.2: "5.1.10 ... Recipient Address Has Null MX"
		o.Class, o.Status = Failed, wire.Enhanced{Class: 5, Subject: 1, Detail: 10}
	case resolver.NoAddress:
		o.Class, o.Status = Failed, wire.Enhanced{Class: 5, Subject: 4, Detail: 4}
	case resolver.Loop:
		o.Class, o.Status = Failed, wire.Enhanced{Class: 5, Subject: 4, Detail: 6}
	case resolver.LoopUnsure:
		o.Status = wire.Enhanced{Class: 4, Subject: 4, Detail: 4}
	case resolver.Malformed:
		o.Class, o.Status = Failed, wire.Enhanced{Class: 5, Subject: 1, Detail: 3}
	}
	return o
}

// unreachableOutcome is what recipients are told of a route of which no address may or can be dialled. Only if nothing but
// prohibited addresses and certain absence is left is that final; where a question failed the answer may yet come.
func unreachableOutcome(rt resolver.Route, prohibited bool) *Outcome {
	unsure := slices.ContainsFunc(rt.MX, func(mx resolver.MX) bool { return mx.Err != nil && isTemporary(mx.Err) })
	switch {
	case unsure:
		return &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 3},
			Err: fmt.Errorf("the exchangers of %s could not be resolved", rt.Domain)}
	case prohibited:
		return &Outcome{Class: Failed, Status: wire.Enhanced{Class: 5, Subject: 4, Detail: 4},
			Err: fmt.Errorf("all exchangers of %s have prohibited addresses", rt.Domain)}
	default:
		return &Outcome{Class: Failed, Status: wire.Enhanced{Class: 5, Subject: 4, Detail: 4},
			Err: fmt.Errorf("no exchanger of %s has an address of the configured family", rt.Domain)}
	}
}

func isTemporary(err error) bool {
	var re *resolver.Error
	return !errors.As(err, &re) || !re.Kind.Permanent()
}

// lateness is what recipients waited for when their time was over, by the host or the route where they did.
type lateness map[any]*Outcome

func (l lateness) of(c *recipient) *Outcome {
	switch c.place {
	case placeHost, placeFlight:
		h := c.route.candidates[c.at].host
		if l[h] == nil {
			l[h] = expired(h.progress())
			l[h].Via = h.via()
		}
		return l[h]
	case placeRoute:
		if l[c.route] == nil {
			l[c.route] = expired("no answer of the DNS about " + c.route.domain + " yet")
		}
		return l[c.route]
	}
	return outcomeBudget
}

func expired(reason string) *Outcome {
	return &Outcome{Class: Deferred, Status: outcomeBudget.Status, Err: fmt.Errorf("%w: %s", outcomeBudget.Err, reason)}
}

// progress is how far its best session has come.
func (h *host) progress() string {
	connected := false
	for _, s := range h.sessions {
		if s.state != sessionDialing {
			return "its sessions were at work"
		}
		connected = connected || s.stands
	}
	switch {
	case connected:
		return "it was connected to, and not ready yet"
	case len(h.sessions) > 0:
		return "no connection to it yet"
	default:
		return "no session with it yet"
	}
}

// via names the host and the address that it is, or would be, dialled at.
func (h *host) via() *Via {
	v := &Via{MX: h.name, Addr: h.addrs[0], Policy: h.policy.word}
	if len(h.sessions) > 0 {
		s := h.sessions[0]
		v.Addr, v.Source, v.Session = h.addrs[s.addr], s.source, uint64(s.id)
	}
	return v
}
