package sts

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver/prohibited"
)

const (
	maxAddrs  = 6  // of a policy host are tried
	maxJudged = 32 // are looked at: each prohibited one is a line in the log, and DNS has room for thousands
)

// A connection is one to a policy host whose certificate was found to be valid.
type connection struct {
	*tls.Conn
	raw *socket
}

// Close ends the connection without the goodbye of TLS, for which crypto/tls would take another 5 s of a peer that does not
// read.
func (c *connection) Close() error { return c.raw.Close() }

// ended says that the peer's TCP connection ended, which it need not have done if it ended TLS properly.
func (c *connection) ended() bool { return c.raw.eof.Load() }

// A socket notes the end of what it reads: crypto/tls takes an end without close_notify for one with.
type socket struct {
	net.Conn
	eof atomic.Bool
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		s.eof.Store(true)
	}
	return n, err
}

// connect tries the addresses in turn, each with its share of the time that is left, so that a dead one does not use it all.
func (f fetcher) connect(ctx context.Context, domain string, addrs []netip.Addr) (*connection, *Error) {
	targets := f.permitted(domain, addrs)
	if len(targets) == 0 {
		return nil, failed(domain, FetchError, "%s%s has a prohibited address only", prefix, domain)
	}
	deadline, _ := ctx.Deadline()
	var worst *Error
	for i, a := range targets {
		share := time.Until(deadline) / time.Duration(len(targets)-i)
		conn, err := f.secure(ctx, share, prefix+domain, a)
		if err == nil {
			return conn, nil
		}
		if failure := judge(ctx, domain, a, err); worst == nil || worst.Result != WebPKIInvalid {
			worst = failure // a wrong certificate tells more than that another address is dead
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, worst
}

// permitted leaves out the addresses that must not be dialled and takes the families in turn: if one of them does not work
// here, the next address is of the other.
func (f fetcher) permitted(domain string, addrs []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, a := range addrs[:min(len(addrs), maxJudged)] {
		a = a.Unmap().WithZone("")
		if prohibited.Contains(f.c.Prohibited, a) {
			// Whoever can write to DNS could have us ask the machines behind our firewall.
			f.c.Log.Warn("sts: security: the address of a policy host is prohibited and was not dialled",
				"domain", domain, "host", prefix+domain, "addr", a.String())
			continue
		}
		family := 0
		if a.Is4() {
			family = 1
		}
		if a.IsValid() && !slices.Contains(families[family], a) {
			families[family] = append(families[family], a)
		}
	}
	var turns []netip.Addr
	for i := range max(len(families[0]), len(families[1])) {
		for _, family := range families {
			if i < len(family) && len(turns) < maxAddrs {
				turns = append(turns, family[i])
			}
		}
	}
	return turns
}

// secure dials one address and makes TLS of it. The address is the one that was judged; no name is resolved here.
func (f fetcher) secure(ctx context.Context, share time.Duration, host string, a netip.Addr) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	dialled, err := f.c.Dial(ctx, "tcp", netip.AddrPortFrom(a, f.c.Port).String())
	if err != nil {
		return nil, err
	}
	raw := &socket{Conn: dialled}
	conn := &connection{Conn: tls.Client(raw, f.tls(host)), raw: raw}
	deadline, _ := ctx.Deadline()
	if err := raw.SetDeadline(deadline); err != nil {
		raw.Close()
		return nil, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// tls is the configuration for one policy host. RFC 8461 section 3.3: its certificate must be valid for the name with
// "mta-sts." (a DNS-ID of RFC 6125), lead to an authority that we trust, and not have expired.
func (f fetcher) tls(host string) *tls.Config {
	return &tls.Config{
		ServerName: host,
		RootCAs:    f.c.Roots,
		MinVersion: tls.VersionTLS12, // RFC 8996
		NextProtos: []string{"http/1.1"},
	}
}

// judge says what a failed connection means in a report.
func judge(ctx context.Context, domain string, a netip.Addr, err error) *Error {
	var invalid *tls.CertificateVerificationError
	if errors.As(err, &invalid) {
		return failed(domain, WebPKIInvalid, "certificate of %s%s at %s: %v", prefix, domain, a, invalid.Err)
	}
	return failed(domain, FetchError, "%s%s at %s: %v", prefix, domain, a, told(ctx, err))
}
