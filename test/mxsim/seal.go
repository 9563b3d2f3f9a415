package mxsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net"
	"strings"
)

// A Sealed is a server's connection whose records can be of any type and content: alerts, KeyUpdates, records without octets. It
// speaks TLS 1.3 with AES-GCM, which crypto/tls chooses on machines that have instructions for it.
type Sealed struct {
	*tls.Conn // reads; what it would write itself would be out of sequence
	raw       net.Conn
	hash      func() hash.Hash
	keySize   int
	secret    []byte // server_application_traffic_secret_N, RFC 8446 section 7.2
	aead      cipher.AEAD
	iv        []byte
	sequence  uint64
}

// Seal makes the server's side of a handshake on raw.
func Seal(raw net.Conn, c *tls.Config) (*Sealed, error) {
	var keys bytes.Buffer
	c = c.Clone()
	c.MinVersion, c.KeyLogWriter = tls.VersionTLS13, &keys
	c.SessionTicketsDisabled = true // a ticket would be the first record
	s := &Sealed{Conn: tls.Server(raw, c), raw: raw}
	if err := s.Handshake(); err != nil {
		return nil, err
	}
	switch suite := s.ConnectionState().CipherSuite; suite {
	case tls.TLS_AES_128_GCM_SHA256:
		s.hash, s.keySize = sha256.New, 16
	case tls.TLS_AES_256_GCM_SHA384:
		s.hash, s.keySize = sha512.New384, 32
	default:
		return nil, fmt.Errorf("mxsim: cannot seal with %s", tls.CipherSuiteName(suite))
	}
	return s, s.use(trafficSecret(keys.String()))
}

// trafficSecret is the server's in a log of keys (RFC 9850).
func trafficSecret(log string) []byte {
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); f[0] == "SERVER_TRAFFIC_SECRET_0" {
			return must(hex.DecodeString(f[2]))
		}
	}
	return nil
}

// use begins with a secret's key.
func (s *Sealed) use(secret []byte) error {
	block, err := aes.NewCipher(s.expand(secret, "key", s.keySize))
	if err != nil {
		return err
	}
	s.secret, s.sequence, s.iv = secret, 0, s.expand(secret, "iv", 12)
	s.aead, err = cipher.NewGCM(block)
	return err
}

// expand is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func (s *Sealed) expand(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := string(binary.BigEndian.AppendUint16(nil, uint16(size))) + string(rune(len(label))) + label + "\x00"
	return must(hkdf.Expand(s.hash, secret, info, size))
}

// Record writes one record of a type.
func (s *Sealed) Record(kind byte, content []byte) error {
	_, err := s.raw.Write(s.seal(kind, content))
	return err
}

// seal encrypts one record (RFC 8446 section 5.2).
func (s *Sealed) seal(kind byte, content []byte) []byte {
	nonce := bytes.Clone(s.iv)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(s.sequence >> (8 * i))
	}
	s.sequence++
	header := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(content)+1+s.aead.Overhead()))
	return append(header, s.aead.Seal(nil, nonce, append(bytes.Clone(content), kind), header)...)
}

// Write sends application data, in one record for each 16 KiB.
func (s *Sealed) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		piece := p[:min(len(p), 16<<10)]
		if err = s.Record(recordData, piece); err == nil {
			n += len(piece)
		}
		p = p[len(piece):]
	}
	return n, err
}

// Alert sends a fatal alert, or the warning close_notify, which is 0 (RFC 8446 section 6).
func (s *Sealed) Alert(description byte) error { return s.Record(recordAlert, alert(description)) }

// alert is the content of an alert.
func alert(description byte) []byte {
	if description == 0 {
		return []byte{1, 0}
	}
	return []byte{2, description}
}

// KeyUpdates changes the key n times, in one write, and asks the client to do the same each time (RFC 8446 section 4.6.3).
func (s *Sealed) KeyUpdates(n int) error {
	var records []byte
	for range n {
		records = append(records, s.seal(recordHandshake, []byte{24, 0, 0, 1, 1})...)
		if err := s.use(s.expand(s.secret, "traffic upd", s.hash().Size())); err != nil {
			return err
		}
	}
	_, err := s.raw.Write(records)
	return err
}

// CloseWrite says that nothing more comes.
func (s *Sealed) CloseWrite() error { return s.Alert(0) }

// Close closes the connection below, without a word.
func (s *Sealed) Close() error { return s.raw.Close() }
