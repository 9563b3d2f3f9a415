package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
	"github.com/smtpfeed/smtpfeed/feed"
)

// An asker finds the values that DNS has for a name.
type asker func(name string, kind dnsmessage.Type) ([]string, error)

// sources are the addresses that this machine sends mail from, as far as receivers see the same: one a family. Connecting a
// datagram socket sends nothing; it only asks the kernel for the route. A private address is translated on the way, nobody
// knows into which.
func sources(family feed.Family, configured ...netip.Addr) []netip.Addr {
	var list []netip.Addr
	for _, to := range []struct {
		network, address string
		not              feed.Family
	}{{"udp4", "198.51.100.1:25", feed.OnlyIPv6}, {"udp6", "[2001:db8::1]:25", feed.OnlyIPv4}} {
		if family == to.not {
			continue
		}
		d := net.Dialer{}
		for _, a := range configured {
			if a.Is4() == (to.network == "udp4") {
				d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
			}
		}
		conn, err := d.Dial(to.network, to.address)
		if err != nil {
			continue // no way to the Internet by this family, or no such address
		}
		from := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")
		conn.Close()
		internal := func(p netip.Prefix) bool { return p.Contains(from) }
		if !slices.ContainsFunc(feed.Internal(), internal) {
			list = append(list, from)
		}
	}
	return list
}

// examineName compares our name with the addresses that mail leaves from. Many receivers refuse an EHLO name without an
// address (RFC 5321 section 4.1.4 does not want that, they do), and the large ones refuse an address without a name that
// leads back to it. A question without an answer proves nothing.
func examineName(hostname string, from []netip.Addr, ask asker) []hostcheck.Finding {
	var found []hostcheck.Finding
	add := func(mend, format string, args ...any) {
		found = append(found, hostcheck.Finding{Severity: hostcheck.Unsafe, Where: "hostname", Text: fmt.Sprintf(format, args...), Mend: mend})
	}
	var ours []string
	if !strings.HasPrefix(hostname, "[") && strings.Contains(hostname, ".") {
		known := true
		if ours, known = addressesOf(hostname, ask); known && len(ours) == 0 {
			add("publish an address record for "+hostname+", or set hostname to a name that has one", "%s has no address in DNS: many servers refuse mail from it", hostname)
		}
	}
	for _, a := range from {
		if len(ours) > 0 && !slices.Contains(ours, a.String()) {
			add("publish "+addressRecord(hostname, a)+", or set hostname to the name of "+a.String(), "%s has the address %s, and mail leaves from %s: some servers refuse that", hostname, strings.Join(ours, ", "), a)
		}
		if text := examineReverse(a, ask); text != "" {
			mend := "have the provider of your network set the reverse name of " + a.String() + ", to " + hostname + " or a name that has this address"
			if a.Is6() {
				mend += `, or set family = "ipv4" in [smtp]`
			}
			add(mend, "%s", text)
		}
	}
	return found
}

// addressesOf are all addresses of a name; known is false when a question had no answer.
func addressesOf(name string, ask asker) (addrs []string, known bool) {
	known = true
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		some, err := ask(name, kind)
		addrs = append(addrs, some...)
		known = known && err == nil
	}
	return addrs, known
}

// examineReverse wants a name for an address that leads back to it: "forward-confirmed reverse DNS".
func examineReverse(a netip.Addr, ask asker) string {
	names, err := ask(reverseName(a), dnsmessage.TypePTR)
	if err != nil {
		return ""
	}
	if len(names) == 0 {
		return fmt.Sprintf("mail leaves from %s, which has no reverse name: Gmail and many others refuse that", a)
	}
	for _, n := range names[:min(len(names), 5)] {
		if addrs, known := addressesOf(n, ask); !known || slices.Contains(addrs, a.String()) {
			return ""
		}
	}
	return fmt.Sprintf("mail leaves from %s, whose reverse name %s does not lead back to it: many servers refuse that", a, names[0])
}

// reverseName is the name whose PTR record names an address (RFC 1035 section 3.5, RFC 3596 section 2.5).
func reverseName(a netip.Addr) string {
	octets := a.AsSlice()
	slices.Reverse(octets)
	var b strings.Builder
	for _, o := range octets {
		if a.Is4() {
			fmt.Fprintf(&b, "%d.", o)
		} else {
			fmt.Fprintf(&b, "%x.%x.", o&0xf, o>>4)
		}
	}
	if a.Is4() {
		return b.String() + "in-addr.arpa"
	}
	return b.String() + "ip6.arpa"
}

// addressRecord is the record that gives a name an address.
func addressRecord(name string, a netip.Addr) string {
	kind := "A"
	if a.Is6() {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s. %s %s", name, kind, a)
}
