package hosts

import (
	"errors"
	"net"
	"os"
	"regexp"
)

// A syslog is the receiver behind a host's /dev/log: it writes each message to a file, as a line.
type syslog struct {
	conn *net.UnixConn
	done chan error // from the receiving goroutine, which closes it, when it ends; 1, so that it never waits
}

func listenSyslog(socket, path string) (*syslog, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	os.Remove(socket) // of the last time
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s := &syslog{conn, make(chan error, 1)}
	go func() {
		defer close(s.done)
		s.done <- errors.Join(s.receive(log), log.Close())
	}()
	return s, os.Chmod(socket, 0o666)
}

// priority is what syslog(3) writes in front of a message: "<22>".
var priority = regexp.MustCompile(`^<\d+>`)

func (s *syslog) receive(log *os.File) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := log.Write(append(priority.ReplaceAll(buf[:n], nil), '\n')); err != nil {
			return err
		}
	}
}

func (s *syslog) close() error { return errors.Join(s.conn.Close(), <-s.done) }
