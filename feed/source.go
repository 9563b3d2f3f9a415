package feed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// Receivers know senders by their address: it stands in SPF records and has a reputation. So when the operator names the address that
// mail is to come from, and this machine does not have it, mail waits. It goes from no other address, and no host is to blame.

// unboundError says which of Config.Source's addresses is missing.
func (c *Config) unboundError(to netip.AddrPort) error {
	for _, a := range c.Source {
		if a.Is4() == to.Addr().Is4() {
			return fmt.Errorf("this machine does not have the address %s that mail is to be sent from", a)
		}
	}
	return errors.New("this machine does not have the address that mail is to be sent from")
}

// unboundTime is how long a host's sessions at work serve alone before it is tried again whether there can be more.
const unboundTime = time.Second

// dialerFrom dials by TCP from these addresses.
func dialerFrom(source []netip.Addr) func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	// Keep-alive probes would cost three system calls a session, and every wait of ours ends by itself.
	d := &net.Dialer{KeepAlive: -1}
	var from [2]netip.AddrPort // IPv4 and IPv6
	for _, a := range source {
		d.Control = portLater
		from[familyIndex(a)] = netip.AddrPortFrom(a, 0)
	}
	system := &net.Dialer{KeepAlive: -1}
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		ours := from[familyIndex(to.Addr())]
		if to.Addr().IsLoopback() && !ours.Addr().IsLoopback() { // a relay on this machine, which knows it as such
			return system.DialTCP(ctx, "tcp", netip.AddrPort{}, to)
		}
		c, err := d.DialTCP(ctx, "tcp", ours, to)
		if errors.Is(err, syscall.ENETUNREACH) && ours.IsValid() && !isOurs(ours.Addr()) {
			err = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL) // net.ipv4.ip_nonlocal_bind hid it
		}
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// isOurs says that an interface of this machine has the address, as far as that can be known.
func isOurs(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(all, func(o net.Addr) bool {
		p, err := netip.ParsePrefix(o.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// portLater has a socket's port chosen when it connects: at bind(2) it would have to differ from those of all other connections, and 28,000
// of them would be all that there can be.
func portLater(_, _ string, c syscall.RawConn) error {
	const ipBindAddressNoPort = 24 // ip(7), of sockets of both families
	// An error is of an old kernel, on which ports are chosen early.
	return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1) })
}

// isUnbound says that a dial failed before it began, since this machine does not have the source address.
func isUnbound(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == "bind" && !errors.Is(err, syscall.EADDRINUSE) // which are ports, see isLocal
}

// unbound is what follows for a host: its sessions and its addresses of the other family serve, or else all that waits is told.
func (e *engine) unbound(now time.Time, s *session, c closing) {
	h, f := s.host, e.familyOf(s.host, s.addr)
	f.fails(now, e.config.DownTime)
	for i, until := range h.bad {
		if other := e.familyOf(h, i); other != f && !now.Before(until) && !now.Before(other.until) {
			return // whoever waits wakes the host
		}
	}
	if len(h.sessions) > 0 {
		h.unbound = now.Add(unboundTime)
		return
	}
	o := &Outcome{Class: Deferred, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 0}, Err: c.err}
	e.empty(h, func(r *recipient) { e.conclude(now, r, o) })
}
