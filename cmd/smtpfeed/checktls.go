package main

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
)

// examineTLS says what of [tls] cannot work on this machine. Nothing of it stops mail: it goes with less protection than receivers ask for.
func examineTLS(c Config, servers dnsServers) []hostcheck.Finding {
	if c.TLS.Mode == "off" {
		return []hostcheck.Finding{{Severity: hostcheck.Note, Where: "tls.mode", Text: "off: all mail goes in plaintext, whatever its receivers publish"}}
	}
	var found []hostcheck.Finding
	for _, p := range c.DNS.TrustAD {
		if p.Bits() == 0 {
			found = append(found, hostcheck.Finding{Severity: hostcheck.Unsafe, Where: "dns.trust_ad",
				Text: p.String() + " is everybody: whoever is between this machine and its name server decides which certificates are right", Mend: "name the servers that are reached over a safe way"})
		}
	}
	if c.TLS.DANE {
		for _, s := range servers {
			if why := distrusted(c, s, servers); why != "" {
				found = append(found, hostcheck.Finding{Severity: hostcheck.Note, Where: "tls.dane", Text: s + " " + why,
					Mend: "run a validating resolver on this machine (unbound), or name one in dns.trust_ad that is reached over a safe way"})
			}
		}
	}
	if c.TLS.MTASTS && c.TLS.Policies != "" {
		for _, text := range examineWritable("tls.policies", c.TLS.Policies, `policies = ""`) {
			found = append(found, hostcheck.Finding{Severity: hostcheck.Note, Where: "tls.policies",
				Text: strings.TrimPrefix(text, "tls.policies: ") + "; until then MTA-STS policies are forgotten at each restart"})
		}
	}
	if c.TLS.MTASTS && c.TLS.Roots == "" {
		if pool, err := x509.SystemCertPool(); err != nil || pool.Equal(x509.NewCertPool()) {
			found = append(found, hostcheck.Finding{Severity: hostcheck.Note, Where: "tls.mta_sts",
				Text: "this machine has no certificates of authorities: MTA-STS policies cannot be fetched", Mend: "apt install ca-certificates"})
		}
	}
	return found
}

// distrusted is why a server's word on DNSSEC is not believed or not given, and what follows; "" when it is.
func distrusted(c Config, server string, all dnsServers) string {
	trusted := func(server string) bool {
		at, err := netip.ParseAddrPort(server)
		return err == nil && slices.ContainsFunc(c.trustAD(), func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap()) })
	}
	switch {
	case !trusted(server) && slices.ContainsFunc(all, trusted):
		return "is not in dns.trust_ad: it is asked only while nobody listens at those that are, and DANE does not protect mail then"
	case !trusted(server):
		return "is not in dns.trust_ad: DANE does not protect mail"
	case !validates(server):
		return "does not validate DNSSEC: DANE does not protect mail"
	}
	return ""
}

// validates says that a server finds the root zone signed. A server that does not answer now is given the benefit of the doubt: others tell of that.
func validates(server string) bool {
	root := dnsmessage.MustNewName(".")
	m := dnsmessage.Message{
		// RFC 6840 section 5.7: AD in a question asks for it in the answer.
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true, AuthenticData: true},
		Questions: []dnsmessage.Question{{Name: root, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET}},
	}
	question, err := m.Pack()
	if err != nil {
		panic(fmt.Sprintf("BUG: the question for the root: %v", err))
	}
	conn, err := net.Dial("udp", server)
	if err != nil {
		return true
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(burstWait))
	if _, err := conn.Write(question); err != nil {
		return true
	}
	for buffer := make([]byte, 4096); ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return true
		}
		var p dnsmessage.Parser
		if h, err := p.Start(buffer[:n]); err == nil && h.Response && h.ID == m.ID {
			return h.AuthenticData || h.RCode != dnsmessage.RCodeSuccess
		}
	}
}
