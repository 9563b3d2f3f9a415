package dnssim

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// Config is what Start needs.
type Config struct {
	Addr       string // "HOST:PORT"; port 0 takes a free one
	Handler    Handler
	Delay      time.Duration // before every answer
	ReadBuffer int           // of the UDP socket; 0: 4 MiB, as far as the kernel allows
}

const (
	readers    = 2 // UDP readers
	readBuffer = 4 << 20
	portsToTry = 20 // until one is free for both UDP and TCP
)

// A Server serves UDP and TCP on one port.
type Server struct {
	counts
	config  Config
	udp     *net.UDPConn
	packets *ipv4.PacketConn // udp, for many datagrams at once
	tcp     net.Listener
	delayer *delayer
	buffers sync.Pool // of *[]byte: datagrams on their way out
	closing <-chan struct{}
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // open TCP connections; nil: closed
}

// Listen is Start with an address and a handler only.
func Listen(addr string, h Handler) (*Server, error) { return Start(Config{Addr: addr, Handler: h}) }

// Start serves until Close.
func Start(c Config) (*Server, error) {
	udp, tcp, err := listen(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("dnssim: %w", err)
	}
	if c.ReadBuffer == 0 {
		c.ReadBuffer = readBuffer
	}
	_ = udp.SetReadBuffer(c.ReadBuffer)
	_ = udp.SetWriteBuffer(readBuffer)
	s := &Server{config: c, udp: udp, packets: ipv4.NewPacketConn(udp), tcp: tcp, conns: make(map[net.Conn]bool)}
	s.buffers.New = func() any { b := make([]byte, 0, 512); return &b }
	s.delayer = newDelayer(s.deliver)
	ctx, cancel := context.WithCancel(context.Background())
	s.closing, s.cancel = ctx.Done(), cancel
	s.work.Go(func() { s.delayer.run(ctx) })
	for range readers {
		s.work.Go(s.serveUDP)
	}
	s.work.Go(s.serveTCP)
	return s, nil
}

// listen finds a port that is free for UDP and TCP.
func listen(addr string) (*net.UDPConn, net.Listener, error) {
	var err error
	for range portsToTry {
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", addr); err != nil {
			return nil, nil, err
		}
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return udp.(*net.UDPConn), tcp, nil
		}
		tcp.Close()
	}
	return nil, nil, err
}

// Addr returns "HOST:PORT".
func (s *Server) Addr() string { return s.udp.LocalAddr().String() }

// Close ends the server and waits for its goroutines. Delayed answers are not sent.
func (s *Server) Close() error {
	s.cancel()
	s.udp.Close()
	s.tcp.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

func (s *Server) serveTCP() {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = true
		s.work.Go(func() { s.serveConn(conn) })
		s.mu.Unlock()
	}
}

// serveConn answers the questions of one connection in order, each after its delay.
func (s *Server) serveConn(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	for {
		msg, err := readMessage(r)
		if err != nil {
			return
		}
		q, ok := readQuery(msg)
		if !ok {
			return
		}
		s.add(q.question)
		a := s.config.Handler(q.question, true)
		s.work.Go(func() { s.writeTCP(conn, q, a) })
	}
}

func (s *Server) writeTCP(conn net.Conn, q query, a Answer) {
	if a.Drop {
		return
	}
	timer := time.NewTimer(s.config.Delay + a.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		_, _ = conn.Write(frame(a.pack(nil, q, true))) // one Write: answers do not mix
	case <-s.closing:
	}
}

// frame puts the length in front of a message (RFC 1035 section 4.2.2).
func frame(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}

func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}
