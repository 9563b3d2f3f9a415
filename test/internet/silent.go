package internet

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// A hole is a host that nothing comes back from. It needs no network namespace and no packet filter: a listener that nobody
// accepts from and whose queue is full drops every further SYN (tcp_conn_request in Linux), on loopback as elsewhere, and a
// client sees what it sees of a host behind a silent firewall.
type hole struct {
	fd    int
	inner net.Conn // fills the queue
	once  sync.Once
}

// dig makes a hole. A queue of length 0 holds one connection: Linux compares with "greater than".
func dig(addr netip.Addr, port int) (*hole, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	h := &hole{fd: fd}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: addr.As4()})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err == nil {
		h.inner, err = net.Dial("tcp4", hostPort(addr, port))
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *hole) close() {
	h.once.Do(func() {
		if h.inner != nil {
			h.inner.Close()
		}
		syscall.Close(h.fd)
	})
}

// silence makes holes of the dead hosts.
func (w *World) silence() error {
	if !w.c.Silent {
		return nil
	}
	for j := range w.c.DeadHosts {
		h, err := dig(HostAddr(j), w.port)
		if err != nil {
			return err
		}
		w.holes = append(w.holes, h)
	}
	return nil
}
