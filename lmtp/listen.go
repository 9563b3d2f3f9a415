package lmtp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxSocketPath is what fits into a socket address everywhere, with the suffix of the temporary name.
const maxSocketPath = 96

// probeTimeout is how long a socket that exists may take to show whether somebody listens on it.
const probeTimeout = 5 * time.Second

// A Reach says from where a TCP socket may be reached.
type Reach uint8

const (
	Loopback Reach = iota // from this machine alone
	Network               // from wherever the address lets: LMTP knows no authentication, so a firewall has to say who
)

// A Socket is an address to listen on.
type Socket struct {
	Spec  string      // "unix:PATH" or "tcp:HOST:PORT"
	Mode  os.FileMode // who may connect to a unix socket; nobody may before it is set
	Reach Reach       // of a TCP socket
}

// Listen is Socket.Listen for a socket that others than this machine's users cannot reach.
func Listen(spec string, mode os.FileMode) (net.Listener, error) {
	return Socket{Spec: spec, Mode: mode}.Listen()
}

// Listen returns a listener. A unix socket on which nobody listens any more is replaced, any other file at its path is left alone.
func (s Socket) Listen() (net.Listener, error) {
	network, address, _ := strings.Cut(s.Spec, ":")
	var l net.Listener
	var err error
	switch network {
	case "unix":
		l, err = listenUnix(address, s.Mode)
	case "tcp":
		l, err = listenTCP(address, s.Reach)
	default:
		return nil, fmt.Errorf("lmtp: listen on %q: write unix:PATH or tcp:HOST:PORT", s.Spec)
	}
	if err != nil {
		return nil, fmt.Errorf("lmtp: listen on %s: %w", s.Spec, err)
	}
	return l, nil
}

func listenTCP(address string, reach Reach) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("write tcp:HOST:PORT: %w", err)
	}
	if host == "" { // a slip of the pen must not open the door, whatever may be reached
		return nil, errors.New("every address would be open to everybody; write the address, as in tcp:127.0.0.1:2424 or tcp:0.0.0.0:2424")
	}
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := reach.admits(a); err != nil {
		return nil, err
	}
	return net.ListenTCP("tcp", a)
}

// Admits says why a listener that somebody else opened (systemd, say) may be reached from where it must not; nil when all is well.
func (r Reach) Admits(l net.Listener) error {
	if err := r.admits(l.Addr()); err != nil {
		return fmt.Errorf("lmtp: %s:%s: %w", l.Addr().Network(), l.Addr(), err)
	}
	return nil
}

func (r Reach) admits(a net.Addr) error {
	t, tcp := a.(*net.TCPAddr)
	if r == Network || !tcp || t.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("LMTP knows no authentication, and %s is open to others; write a loopback address, "+
		"or set lmtp.open_tcp = true where a firewall lets nobody but the host MTA connect", t.IP)
}

// listenUnix binds to a temporary name, and gives the socket its own when everything is ready: whoever connects finds the old
// socket or a new one that answers. The directory is locked meanwhile against others that do the same.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if path == "" {
		return nil, errors.New("write unix:PATH")
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path is longer than %d octets; choose a shorter one", maxSocketPath)
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := vacant(path); err != nil {
		return nil, err
	}
	return bindUnix(path, mode)
}

// lockDir keeps others out of vacant and bindUnix until unlock is called; the lock ends with the process.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("directory %s does not exist; create it, owned by smtpfeed's user", dir)
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.Close()
		return nil, fmt.Errorf("in use by another smtpfeed: it is just starting in %s: %w", dir, err)
	}
	return func() { d.Close() }, nil
}

// vacant says that nobody listens at path. Only a refused connection proves it of a socket: a full queue is an error too.
func vacant(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("a file that is no socket stands there; remove it or choose another path")
	}
	c, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		c.Close()
		return errors.New("in use by another smtpfeed; stop it first")
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("in use by another smtpfeed, or not ours to connect to; stop it first: %w", err)
}

func bindUnix(path string, mode os.FileMode) (net.Listener, error) {
	temporary := path + "." + rand.Text()[:8]
	// On Linux a socket file gets the mode of its descriptor, less the umask: so nobody else can connect before Chmod.
	private := func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}
	lc := net.ListenConfig{Control: private}
	l, err := lc.Listen(context.Background(), "unix", temporary)
	if err != nil {
		return nil, err
	}
	u := &unixListener{UnixListener: l.(*net.UnixListener), path: path}
	u.SetUnlinkOnClose(false)
	if err := u.publish(temporary, mode); err != nil {
		os.Remove(temporary)
		u.UnixListener.Close()
		return nil, err
	}
	return u, nil
}

// A unixListener removes its socket when it closes, if that is still its own.
type unixListener struct {
	*net.UnixListener
	path string
	own  os.FileInfo
	once sync.Once
}

// publish gives the socket its mode and its name.
func (l *unixListener) publish(temporary string, mode os.FileMode) (err error) {
	if err = os.Chmod(temporary, mode); err != nil {
		return err
	}
	if l.own, err = os.Lstat(temporary); err != nil {
		return err
	}
	return os.Rename(temporary, l.path)
}

// Close removes the socket first: then the next smtpfeed finds either a socket that answers or none. Once only, since after it
// the inode may be another's.
func (l *unixListener) Close() error {
	l.once.Do(l.unpublish)
	return l.UnixListener.Close()
}

func (l *unixListener) unpublish() {
	if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.own) {
		os.Remove(l.path)
	}
}

// Addr is the path by which hosts know the socket.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
