package crash

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// The host MTA reaches smtpfeed through a unix socket, of which netsim knows nothing: one whose other end was closed takes no
// octet more, and poll(2) tells of it. An acquaintance is what both ends of a connection know of each other beside netsim.
type acquaintance struct{ hostClosed atomic.Bool }

type acquaintances struct {
	mu   sync.Mutex
	port map[uint16]*acquaintance // of the host's end
}

// of is the acquaintance of a connection; whoever comes first makes it.
func (a *acquaintances) of(host net.Addr) *acquaintance {
	a.mu.Lock()
	defer a.mu.Unlock()
	port := host.(*net.TCPAddr).AddrPort().Port()
	if a.port[port] == nil {
		a.port[port] = &acquaintance{}
	}
	return a.port[port]
}

// An inwards is a process's LMTP listener.
type inwards struct {
	net.Listener
	process *process
}

func (l *inwards) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	i := &inward{Conn: c.(*netsim.Conn), process: l.process, host: l.process.world.hosts.of(c.RemoteAddr())}
	i.name = "host#" + port(c.RemoteAddr())
	if !l.process.hold(i.Conn) {
		return nil, net.ErrClosed
	}
	return i, nil
}

// port is an address's.
func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}

// An inward is a process's end of an LMTP connection.
type inward struct {
	*netsim.Conn
	process *process
	name    string
	host    *acquaintance
}

// Write lets replies leave when it is their turn.
func (i *inward) Write(b []byte) (int, error) {
	t := i.process.act(answering, i.name, b)
	switch {
	case t.dead:
		return 0, net.ErrClosed
	case i.host.hostClosed.Load():
		return 0, &net.OpError{Op: "write", Net: "unix", Err: syscall.EPIPE}
	}
	n, err := i.Conn.Write(b[:t.octets])
	if err == nil && n < len(b) {
		err = net.ErrClosed
	}
	return n, err
}

// CloseWrite is an action: the host sees it.
func (i *inward) CloseWrite() error {
	if i.process.act(parting, i.name, nil).dead {
		return net.ErrClosed
	}
	return i.Conn.CloseWrite()
}

// SyscallConn is for those who ask the kernel whether the other end was closed.
func (i *inward) SyscallConn() (syscall.RawConn, error) { return (*descriptor)(i), nil }

// A descriptor is a socket of the kernel's that is in the state of the connection while somebody looks at it.
type descriptor inward

func (d *descriptor) Control(look func(fd uintptr)) error {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(ends[0])
	if d.host.hostClosed.Load() {
		syscall.Close(ends[1])
	} else {
		defer syscall.Close(ends[1])
	}
	look(uintptr(ends[0]))
	return nil
}

func (d *descriptor) Read(func(uintptr) bool) error  { return syscall.EINVAL }
func (d *descriptor) Write(func(uintptr) bool) error { return syscall.EINVAL }
