package internet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// roomForSessions is how many descriptors are wanted beyond the listeners. A session too many waits to be accepted.
const roomForSessions = 5000

// allowDescriptors raises the limit of open files to n if it is lower, and says whether that worked. The hard limit
// can be raised by root only.
func allowDescriptors(n int) bool {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return false
	}
	if l.Cur >= uint64(n) {
		return true
	}
	l.Cur, l.Max = uint64(n), max(l.Max, uint64(n))
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) == nil
}

// listen opens a listener for each living host, or one for all.
func (w *World) listen(allow func(int) bool) error {
	need := w.c.hosts() + (backlog+1)*w.c.DeadHosts + roomForSessions
	switch {
	case allow(need):
		return w.listenEach()
	case w.c.DeadHosts == 0:
		return w.listenAll()
	}
	return fmt.Errorf("dead hosts need a listener for each living one: %d hosts need %d descriptors", w.c.hosts(), need)
}

func (w *World) listenEach() error {
	w.port = w.c.Port
	for j := w.c.DeadHosts; j < w.c.hosts(); j++ {
		l, err := net.Listen("tcp4", hostPort(HostAddr(j), w.port))
		if err != nil {
			return err
		}
		w.port = l.Addr().(*net.TCPAddr).Port
		w.server(j).Start(w.counting(l))
	}
	return w.silence()
}

// sharedListeners is how many sockets share the port when hosts have none of their own: each brings its own queue, and one
// queue (net.core.somaxconn, often 4096) overflows when thousands of sessions begin at once; the lost SYN costs a second.
const sharedListeners = 16

func (w *World) listenAll() error {
	w.port = w.c.Port
	shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return err
	}}
	for range sharedListeners {
		l, err := shared.Listen(context.Background(), "tcp4", hostPort(netip.IPv4Unspecified(), w.port))
		if err != nil {
			return err
		}
		w.all, w.port = append(w.all, l), l.Addr().(*net.TCPAddr).Port
		w.running.Go(func() { w.accept(w.counting(l)) })
	}
	return nil
}

// accept gives each connection to the host that it was made to.
func (w *World) accept(l net.Listener) {
	for {
		c, err := mxsim.Accept(l)
		if err != nil {
			return
		}
		to, _ := netip.AddrFromSlice(c.LocalAddr().(*net.TCPAddr).IP)
		j, ok := hostOf(to)
		if !ok || j >= w.c.hosts() {
			c.Close() // not in 127.0.0.0/8, or no host of ours
			continue
		}
		w.running.Go(func() { w.server(j).ServeConn(c) })
	}
}

func hostPort(a netip.Addr, port int) string { return net.JoinHostPort(a.String(), strconv.Itoa(port)) }
