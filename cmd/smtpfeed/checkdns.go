package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
)

const (
	resolvConf = "/etc/resolv.conf"

	// A burst is sent over several sockets, as the resolver does. A socket's receive buffer often has room for 270 small answers
	// only, and what is lost on our side says nothing about the server.
	burstSockets = 4
	burstEach    = 125
	burstWait    = 2 * time.Second
)

// dnsServers are recursive servers as "HOST:PORT".
type dnsServers []string

// systemServers reads the name servers of a resolv.conf; none that can be read is the one of this machine (resolv.conf(5)).
func systemServers(file string) dnsServers {
	var servers dnsServers
	text, _ := os.ReadFile(file) // a missing file means the same as an empty one
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" {
			if _, err := netip.ParseAddr(f[1]); err == nil {
				servers = append(servers, net.JoinHostPort(f[1], "53"))
			}
		}
	}
	if len(servers) == 0 {
		return dnsServers{"127.0.0.1:53"}
	}
	return servers
}

// examineBursts sends each server many questions at once, as a list does, and counts how many it answers at the first try.
// What it drops has to be asked again later. A server that loses some by chance has a second try.
func examineBursts(servers dnsServers) []hostcheck.Finding {
	const all = burstSockets * burstEach
	var found []hostcheck.Finding
	for _, s := range servers {
		answered, refused := burst(s)
		if answered < all*95/100 {
			again, refusedAgain := burst(s)
			if again > answered {
				answered, refused = again, refusedAgain
			}
		}
		if answered < all*95/100 {
			found = append(found, hostcheck.Finding{Severity: hostcheck.Slow, Where: "dns.servers",
				Text: fmt.Sprintf("%s answered %d of %d questions that came at once, and refused %d: a list waits for its domains", s, answered, all, refused),
				Mend: "give it the settings of patches/recursors (for unbound, BIND and PowerDNS), or a recursive server of its own on this machine"})
		}
	}
	return found
}

// burst sends the questions and counts the answers: those of use, and those that only refuse. The names are reverse ones of
// the loopback network: every recursive server should answer these by itself (RFC 6303 section 4.2), so they cost the
// Internet nothing.
func burst(server string) (answered, refused int) {
	var conns []net.Conn
	for range burstSockets {
		c, err := net.Dial("udp", server)
		if err != nil {
			break
		}
		defer c.Close()
		conns = append(conns, c)
	}
	from := rand.IntN(1 << 23)
	for i := range burstEach {
		for j, c := range conns {
			n := from + i*burstSockets + j
			name := fmt.Sprintf("%d.%d.%d.127.in-addr.arpa.", n&0xff, n>>8&0xff, n>>16&0x7f|0x80)
			_, _ = c.Write(dnsQuestion(uint16(i), name, dnsmessage.TypePTR)) // what cannot be sent is not answered
		}
	}
	deadline := time.Now().Add(burstWait)
	for _, c := range conns {
		// Waiting for one socket may take all the time; what has come to the others by then counts.
		_ = c.SetReadDeadline(later(deadline, time.Now().Add(burstWait/20)))
		good, bad := countAnswers(c)
		answered, refused = answered+good, refused+bad
	}
	return answered, refused
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// countAnswers reads until every question of a socket has an answer, or none comes any more.
func countAnswers(c net.Conn) (answered, refused int) {
	seen := map[uint16]bool{}
	for buffer := make([]byte, 4096); len(seen) < burstEach; {
		n, err := c.Read(buffer)
		if err != nil {
			return answered, refused // silence, or nobody listens there
		}
		var p dnsmessage.Parser
		h, err := p.Start(buffer[:n])
		if err != nil || !h.Response || h.ID >= burstEach || seen[h.ID] {
			continue
		}
		seen[h.ID] = true
		if h.RCode == dnsmessage.RCodeSuccess || h.RCode == dnsmessage.RCodeNameError {
			answered++
		} else {
			refused++
		}
	}
	return answered, refused
}

// dnsQuestion packs a question; nil for what is not a name.
func dnsQuestion(id uint16, name string, kind dnsmessage.Type) []byte {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}},
	}
	packed, err := m.Pack()
	if err != nil {
		return nil // an empty label, or one that is too long
	}
	return packed
}

// errNoAnswer says that no server answered with success or with the statement that the name does not exist.
var errNoAnswer = errors.New("no answer from any DNS server")

// ask returns the addresses or names that a name has; none is no error. Each server is asked twice.
func (s dnsServers) ask(name string, kind dnsmessage.Type) ([]string, error) {
	question := dnsQuestion(uint16(rand.Uint32()), strings.TrimSuffix(name, ".")+".", kind)
	if question == nil {
		return nil, nil
	}
	for range 2 {
		for _, server := range s {
			if values, err := exchange(server, question, kind); err == nil {
				return values, nil
			}
		}
	}
	return nil, errNoAnswer
}

// exchange sends one question to one server.
func exchange(server string, question []byte, kind dnsmessage.Type) ([]string, error) {
	c, err := net.Dial("udp", server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(burstWait)); err != nil {
		return nil, err
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	for buffer := make([]byte, 4096); ; {
		n, err := c.Read(buffer)
		if err != nil {
			return nil, err
		}
		// The ID stands in the first two octets. Rubbish is passed over until the deadline.
		if n > 2 && string(buffer[:2]) == string(question[:2]) {
			return dnsValues(buffer[:n], kind)
		}
	}
}

// dnsValues reads the answer's addresses or names, whatever aliases stand between.
func dnsValues(message []byte, kind dnsmessage.Type) ([]string, error) {
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil {
		return nil, err
	}
	if m.RCode != dnsmessage.RCodeSuccess && m.RCode != dnsmessage.RCodeNameError {
		return nil, errNoAnswer
	}
	var values []string
	for _, r := range m.Answers {
		if r.Header.Type != kind {
			continue
		}
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			values = append(values, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			values = append(values, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.PTRResource:
			values = append(values, strings.ToLower(strings.TrimSuffix(body.PTR.String(), ".")))
		}
	}
	return values, nil
}
