package internet

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
)

// keyExchanges are the groups that hosts can be restricted to, by the names of IANA's registry.
func keyExchanges(name string) ([]tls.CurveID, error) {
	switch name {
	case "":
		return nil, nil
	case "X25519MLKEM768":
		return []tls.CurveID{tls.X25519MLKEM768}, nil
	case "X25519":
		return []tls.CurveID{tls.X25519}, nil
	case "P-256":
		return []tls.CurveID{tls.CurveP256}, nil
	}
	return nil, fmt.Errorf("internet: no key exchange %q", name)
}

// secure gives the hosts TLS. They share all of it, the key of session tickets too.
func (w *World) secure() error {
	var err error
	if w.authority, err = newAuthority(w.c.TLS, w.c.hosts()); w.authority == nil || err != nil {
		return err
	}
	groups, err := keyExchanges(w.c.KeyExchange)
	if err != nil {
		return err
	}
	w.c.MX.TLS = &tls.Config{GetCertificate: w.certificateFor, CurvePreferences: groups}
	w.zone.association, err = w.authority.association()
	return err
}

// certificateFor finds a host by its address: opportunistic clients may name none, or the domain.
func (w *World) certificateFor(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	j, err := hostAt(h.Conn.LocalAddr())
	if err != nil || j >= w.c.hosts() {
		return nil, fmt.Errorf("internet: no host has %v", h.Conn.LocalAddr())
	}
	return &w.authority.hosts[j], nil
}

func hostAt(a net.Addr) (j int, err error) {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return 0, err
	}
	j, ok := hostOf(at.Addr())
	if !ok {
		return 0, fmt.Errorf("internet: no host has %v", at)
	}
	return j, nil
}

// Roots are the certificates that a client trusts in this world, a PEM file; empty where it has no TLS.
func (w *World) Roots() []byte { return w.authority.PEM() }
