package mxsim

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
)

// A ClientHello is what a client offers at the beginning of a handshake.
type ClientHello struct {
	Size       int    // octets of the message, with its header of four
	ServerName string // SNI; "" when none was sent
	Groups     []tls.CurveID
	Versions   []uint16
	Resumes    bool // it offers to resume a session of TLS 1.3
}

// PostQuantum says that it offers a post-quantum key exchange, whose share does not fit into a segment with the rest.
func PostQuantum(h ClientHello) bool { return slices.Contains(h.Groups, tls.X25519MLKEM768) }

// LargerThan is what a box on the way thinks that looks at one segment only.
func LargerThan(octets int) func(ClientHello) bool {
	return func(h ClientHello) bool { return h.Size > octets }
}

// Any is unfit whatever it offers.
func Any(ClientHello) bool { return true }

const (
	recordAlert     = 21 // RFC 8446 section 5.1
	recordHandshake = 22
	recordData      = 23

	typeClientHello = 1       // RFC 8446 section 4
	extPreShared    = 41      // RFC 8446 section 4.2
	maxClientHello  = 1 << 17 // what no client sends
)

// ReadClientHello reads a ClientHello from c. What it has read is read again from the connection that it returns.
func ReadClientHello(c net.Conn) (ClientHello, net.Conn, error) {
	var octets, message []byte
	for len(message) < 4 || len(message) < messageSize(message) {
		record, err := readHandshakeRecord(c)
		octets = append(octets, record...)
		if err != nil {
			return ClientHello{}, nil, &errUnexpected{string(octets), err}
		}
		message = append(message, record[recordHeader:]...)
		if len(message) > 0 && message[0] != typeClientHello || len(message) > maxClientHello {
			return ClientHello{}, nil, &errUnexpected{string(octets), nil}
		}
	}
	h, err := parseClientHello(octets)
	h.Size = messageSize(message)
	return h, &readAgain{c, octets}, err
}

func messageSize(m []byte) int { return 4 + int(m[1])<<16 + int(m[2])<<8 + int(m[3]) }

const recordHeader = 5

// readHandshakeRecord reads one record of TLS with its header.
func readHandshakeRecord(r io.Reader) ([]byte, error) {
	b := make([]byte, recordHeader)
	if n, err := io.ReadFull(r, b); err != nil {
		return b[:n], err
	}
	if b[0] != recordHandshake {
		return b, errors.New("no record of a handshake") // its length is none either
	}
	b = append(b, make([]byte, binary.BigEndian.Uint16(b[3:]))...)
	n, err := io.ReadFull(r, b[recordHeader:])
	return b[:recordHeader+n], err
}

// errSeen ends a handshake of which only the beginning was wanted.
var errSeen = errors.New("mxsim: the ClientHello was seen")

// parseClientHello has crypto/tls read it.
func parseClientHello(octets []byte) (h ClientHello, err error) {
	look := &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		h.ServerName, h.Groups, h.Versions = i.ServerName, slices.Clone(i.SupportedCurves), slices.Clone(i.SupportedVersions)
		h.Resumes = slices.Contains(i.Extensions, extPreShared)
		return nil, errSeen
	}}
	if err := tls.Server(&readAgain{nowhere{}, octets}, look).Handshake(); !errors.Is(err, errSeen) {
		return h, fmt.Errorf("mxsim: ClientHello: %w", err)
	}
	return h, nil
}

// A readAgain is a connection on which octets that were read before come first.
type readAgain struct {
	net.Conn
	octets []byte
}

func (r *readAgain) Read(p []byte) (int, error) {
	if len(r.octets) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.octets)
	r.octets = r.octets[n:]
	return n, nil
}

// A nowhere is the other end of no connection.
type nowhere struct{ net.Conn }

func (nowhere) Read([]byte) (int, error)    { return 0, io.EOF }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }
