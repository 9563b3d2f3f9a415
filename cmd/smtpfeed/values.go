package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
)

// The types of configuration values. All but Size are structs and not named numbers on purpose: the TOML library stores a
// bare number in a named number without asking it, and `budget = 540` would silently mean 540 nanoseconds.

// Duration is a length of time with its unit: "30s", "9m".
type Duration struct{ time.Duration }

// UnmarshalText reads a duration; a number without a unit is refused because nobody can know what it meant.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf(`%q is not a length of time; write it as "30s" or "9m"`, text)
	}
	d.Duration = v
	return nil
}

// MarshalText writes whole seconds as the documentation does, "540s" and not "9m0s".
func (d Duration) MarshalText() ([]byte, error) {
	if d.Duration%time.Second == 0 {
		return fmt.Appendf(nil, "%ds", d.Duration/time.Second), nil
	}
	return []byte(d.String()), nil
}

// Size is a number of octets: "64MiB", "1GiB", or a plain number.
type Size int64

// units are the suffixes of a Size, largest first so that MarshalText finds the shortest form.
func units() []struct {
	name  string
	shift uint
} {
	return []struct {
		name  string
		shift uint
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}, {"", 0}}
}

// UnmarshalText reads a size. Only powers of 1024 have suffixes: "MB" means two things.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range units() {
		digits, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
		if err != nil || n > (1<<63-1)>>u.shift {
			break
		}
		*s = Size(n << u.shift)
		return nil
	}
	return fmt.Errorf(`%q is not a size; write it as "512KiB", "64MiB" or "1GiB"`, text)
}

// MarshalText writes the size with the largest suffix that keeps it exact.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range units() {
		if n := int64(s) >> u.shift; n > 0 && n<<u.shift == int64(s) {
			return fmt.Appendf(nil, "%d%s", n, u.name), nil
		}
	}
	return fmt.Appendf(nil, "%d", int64(s)), nil
}

// FileMode is the permission bits of a socket, in octal: "0660".
type FileMode struct{ fs.FileMode }

// UnmarshalText reads octal permission bits.
func (m *FileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf(`%q is not a file mode; write it in octal, as "0660"`, text)
	}
	m.FileMode = fs.FileMode(v)
	return nil
}

// MarshalText writes four octal digits.
func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", m.Perm()), nil }

// Listen is where to listen: "unix:PATH" or "tcp:HOST:PORT"; "" is nowhere.
type Listen struct{ spec string }

// UnmarshalText reads and checks a listen address; host names are not looked up.
func (l *Listen) UnmarshalText(text []byte) error {
	l.spec = string(text)
	network, address := l.split()
	switch {
	case l.spec == "":
		return nil
	case network == "unix" && strings.HasPrefix(address, "/"):
		return nil
	case network == "tcp" && validHostPort(address):
		return nil
	}
	return fmt.Errorf(`%q is not an address to listen on; write "unix:/run/smtpfeed/lmtp.sock" or "tcp:127.0.0.1:2424"`, text)
}

// MarshalText writes the address as it was read.
func (l Listen) MarshalText() ([]byte, error) { return []byte(l.spec), nil }

// split returns the network, "unix" or "tcp", and the address in it.
func (l Listen) split() (network, address string) {
	network, address, _ = strings.Cut(l.spec, ":")
	return network, address
}

// validHostPort says that s is HOST:PORT with a numeric port; HOST may be empty (all addresses).
func validHostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// Server is a DNS server's address and port; port 53 may be left out.
type Server struct{ netip.AddrPort }

// UnmarshalText reads "ADDRESS:PORT" or "ADDRESS". A name is refused: looking it up would need the server it names.
func (s *Server) UnmarshalText(text []byte) error {
	if a, err := netip.ParseAddr(string(text)); err == nil {
		s.AddrPort = netip.AddrPortFrom(a, 53)
		return nil
	}
	a, err := netip.ParseAddrPort(string(text))
	if err != nil || a.Port() == 0 {
		return fmt.Errorf(`%q is not a DNS server; write its address, as "127.0.0.1:53" or "[::1]:53"`, text)
	}
	s.AddrPort = a
	return nil
}

// Addr is an address of this machine.
type Addr struct{ netip.Addr }

// UnmarshalText reads an address. A name is refused: which of its addresses is meant would change with the DNS.
func (a *Addr) UnmarshalText(text []byte) error {
	v, err := netip.ParseAddr(string(text))
	v = v.Unmap()
	if err != nil || v.IsUnspecified() || v.IsMulticast() || v.IsLinkLocalUnicast() || v == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf(`%q is not an address that mail can come from; write "192.0.2.10" or "2001:db8::10"`, text)
	}
	a.Addr = v
	return nil
}

// Prefix is a range of addresses never dialled. The zero Prefix is the word "default": feed.Internal.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads "default", a CIDR range or one address.
func (p *Prefix) UnmarshalText(text []byte) error {
	if string(text) == "default" {
		p.Prefix = netip.Prefix{}
		return nil
	}
	if a, err := netip.ParseAddr(string(text)); err == nil && a.Zone() == "" {
		a = a.Unmap() // as addresses are compared
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf(`%q is not a range of addresses; write "default" or "192.0.2.0/24"`, text)
	}
	if v != v.Masked() {
		return fmt.Errorf("%q has bits behind its length; did you mean %q?", text, v.Masked())
	}
	if v.Addr().Is4In6() { // a range of IPv4 addresses, which are compared as such; "::ffff:0:0/96" is all of them
		v = netip.PrefixFrom(v.Addr().Unmap(), v.Bits()-96)
	}
	p.Prefix = v
	return nil
}

// MarshalText writes "default" or the CIDR range.
func (p Prefix) MarshalText() ([]byte, error) {
	if !p.IsValid() {
		return []byte("default"), nil
	}
	return p.Prefix.MarshalText()
}

// Piggyback is "learned", "off" or "always".
type Piggyback struct{ feed.Piggyback }

// piggybackWords stand at the index of their feed.Piggyback.
func piggybackWords() []string { return []string{"learned", "off", "always"} }

// UnmarshalText reads one of the words.
func (p *Piggyback) UnmarshalText(text []byte) error {
	i, err := oneOf(piggybackWords(), text)
	p.Piggyback = feed.Piggyback(i)
	return err
}

// MarshalText writes the word.
func (p Piggyback) MarshalText() ([]byte, error) {
	return []byte(piggybackWords()[p.Piggyback]), nil
}

// Family is "any", "ipv4" or "ipv6".
type Family struct{ feed.Family }

// familyWords stand at the index of their feed.Family.
func familyWords() []string { return []string{"any", "ipv4", "ipv6"} }

// UnmarshalText reads one of the words.
func (f *Family) UnmarshalText(text []byte) error {
	i, err := oneOf(familyWords(), text)
	f.Family = feed.Family(i)
	return err
}

// MarshalText writes the word.
func (f Family) MarshalText() ([]byte, error) { return []byte(familyWords()[f.Family]), nil }

// Level is "debug", "info", "warn" or "error".
type Level struct{ slog.Level }

// UnmarshalText reads one of the words; slog's own parser would take "info+3", which nobody means.
func (l *Level) UnmarshalText(text []byte) error {
	i, err := oneOf([]string{"debug", "info", "warn", "error"}, text)
	l.Level = slog.LevelDebug + slog.Level(4*i)
	return err
}

// MarshalText writes the word.
func (l Level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(l.String())), nil }

// oneOf returns the index of text in words.
func oneOf(words []string, text []byte) (int, error) {
	for i, w := range words {
		if w == string(text) {
			return i, nil
		}
	}
	return 0, errors.New(strconv.Quote(string(text)) + " is not one of " + strings.Join(words, ", "))
}
