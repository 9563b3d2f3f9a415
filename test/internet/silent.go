package internet

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A hole is a host that nothing comes back from. It needs no network namespace and no packet filter: a listener that nobody
// accepts from and whose queue is full drops every further SYN (tcp_conn_request in Linux), on loopback as elsewhere. A client
// sees what it sees of a host behind a silent firewall: its socket stays in SYN-SENT, sends its SYN again and again, and nothing
// comes back, neither RST nor ICMP. The kernel counts what it drops (TcpExtListenOverflows of nstat).
type hole struct {
	fd     int
	inside []net.Conn // fill the queue
	once   sync.Once
}

// backlog is the length of a hole's queue, which holds one connection more: Linux compares with "greater than". With 0 the kernel would
// think of a flood already at the first SYN, answer it with a cookie and say so in its log.
const backlog = 1

// fillTimeout is for connections to a queue with room, on the same machine.
const fillTimeout = 5 * time.Second

// dig makes a hole.
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
		err = syscall.Listen(fd, backlog)
	}
	if err == nil {
		err = h.fill(hostPort(addr, port))
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *hole) fill(to string) error {
	for range backlog + 1 {
		c, err := net.DialTimeout("tcp4", to, fillTimeout)
		if err != nil {
			return err
		}
		h.inside = append(h.inside, c)
	}
	return nil
}

func (h *hole) close() {
	h.once.Do(func() {
		for _, c := range h.inside {
			c.Close()
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
