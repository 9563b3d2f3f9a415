package resolver

import (
	"errors"
	"slices"
)

// refused is the error when the answer about MX says that there is no route.
func (d *draft) refused(kind Kind, f *facts, reason string) error {
	return &Error{Kind: kind, Domain: d.route.Domain, Question: "MX " + d.route.Domain, Server: f.server, Reason: reason}
}

// failed is the error when the rules leave no route though questions were answered.
func (d *draft) failed(kind Kind, reason string) error {
	return &Error{Kind: kind, Domain: d.route.Domain, Reason: reason}
}

// noAddress is the error when no exchanger has an address. One that could not be asked may have one: then the mail waits.
func (d *draft) noAddress() error {
	soft := slices.IndexFunc(d.route.MX, func(mx MX) bool {
		var e *Error
		return errors.As(mx.Err, &e) && e.Kind == Temporary
	})
	switch {
	case soft >= 0:
		return d.route.MX[soft].Err
	case d.route.Implicit:
		return d.failed(NoSuchDomain, "neither MX nor address")
	case len(d.route.MX) == 1:
		return d.route.MX[0].Err
	}
	return d.failed(NoAddress, "no mail exchanger has an address")
}

// hostError says why a host lacks addresses, or nil when all is known that was asked. A is named first: it is the family
// that operators expect.
func (d *draft) hostError(mx MX, a, aaaa *facts) error {
	for _, f := range []struct {
		qtype string
		facts *facts
	}{{"A", a}, {"AAAA", aaaa}} {
		if f.facts != nil && f.facts.status == failed {
			return &Error{Kind: Temporary, Domain: d.route.Domain, Question: f.qtype + " " + mx.Name, Server: f.facts.server, Reason: f.facts.reason}
		}
	}
	if len(mx.Addrs) > 0 || a == nil && aaaa == nil {
		return nil
	}
	f := a
	if f == nil {
		f = aaaa
	}
	reason := "no address"
	if f.status == noName {
		reason = "NXDOMAIN"
	}
	return &Error{Kind: NoAddress, Domain: d.route.Domain, Question: "A " + mx.Name, Server: f.server, Reason: reason}
}
