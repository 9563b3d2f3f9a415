package resolver

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseRelay(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		in   string
		want relay
	}{
		{"relay.example.org", relay{name: "relay.example.org"}},
		{"Relay.example.org.:587", relay{name: "relay.example.org", port: 587}},
		{"[192.0.2.1]", relay{name: "[192.0.2.1]", addr: v4}},
		{"[192.0.2.1]:25", relay{name: "[192.0.2.1]", addr: v4, port: 25}},
		{"[2001:db8::1]", relay{name: "[IPv6:2001:db8::1]", addr: v6}},
		{"[IPv6:2001:db8::1]:2525", relay{name: "[IPv6:2001:db8::1]", addr: v6, port: 2525}},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := parseRelay(c.in)
			require.NoError(t, err, "the host should be accepted")
			assert.Equal(t, c.want, got, "the host should be read")
		})
	}
	for _, in := range []string{"", ":25", "relay:0", "relay:65536", "relay:smtp", "[192.0.2.1", "192.0.2.1", "192.0.2.1:25",
		"[relay]:25", "[192.0.2.1]25", "[fe80::1%eth0]:25", "2001:db8::1", "a b"} {
		t.Run("refused "+in, func(t *testing.T) {
			_, err := parseRelay(in)
			require.Error(t, err, "the host should be refused")
			assert.Contains(t, err.Error(), `"`+in+`"`, "the error should name the entry")
		})
	}
}

func TestRoutesFind(t *testing.T) {
	m, err := newRoutes([]StaticRoute{
		{Domain: "example.net", Hosts: []string{"exact.example"}},
		{Domain: ".example.net", Hosts: []string{"below.example"}},
		{Domain: ".deep.example.net", Hosts: []string{"deep.example"}},
		{Domain: ".org", Hosts: []string{"org.example"}},
	})
	require.NoError(t, err, "the map should be accepted")
	for _, c := range []struct{ rule, domain, want string }{
		{"an exact entry", "example.net", "exact.example"},
		{"a dotted entry covers subdomains", "a.example.net", "below.example"},
		{"at any depth", "a.b.example.net", "below.example"},
		{"the longest entry wins", "x.deep.example.net", "deep.example"},
		{"a dotted entry does not cover its own domain", "deep.example.net", "below.example"},
		{"a top level domain", "example.org", "org.example"},
		{"not a suffix in mid-label", "badexample.net", ""},
		{"no entry", "example.com", ""},
		{"a top level domain alone is not below itself", "org", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			hosts, ok := Match(m, c.domain)
			require.Equal(t, c.want != "", ok, "the map should cover the domain or not")
			if ok {
				assert.Equal(t, c.want, hosts[0].name, "the right entry should be found")
			}
		})
	}
}

func TestMatch(t *testing.T) {
	m := map[string]int{"example.net": 1, ".example.net": 2, ".b.example.net": 3, "*": 4, "[192.0.2.1]": 5, ".1]": 6}
	for _, c := range []struct {
		rule, domain string
		want         int
	}{
		{"the domain itself", "example.net", 1},
		{"a subdomain", "a.example.net", 2},
		{"the longest suffix", "a.b.example.net", 3},
		{"a suffix does not cover its own domain", "b.example.net", 2},
		{"everything else", "example.org", 4},
		{"a name without dots", "localhost", 4},
		{"a literal itself", "[192.0.2.1]", 5},
		{"a literal is below nothing", "[198.51.100.1]", 4},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, ok := Match(m, c.domain)
			assert.True(t, ok, "the map should cover the domain")
			assert.Equal(t, c.want, got, "by the longest pattern")
		})
	}
	_, ok := Match(map[string]int{".net": 1}, "example.org")
	assert.False(t, ok, "without an asterisk there may be no entry")
	_, ok = Match(map[string]int(nil), "example.org")
	assert.False(t, ok, "an empty map covers nothing")
}

func TestNewNamesTheWrongEntry(t *testing.T) {
	ok := []string{"127.0.0.1:53"}
	for _, c := range []struct {
		rule   string
		config Config
		want   string
	}{
		{"server without port", Config{Servers: []string{"127.0.0.1"}}, `"127.0.0.1"`},
		{"server without host", Config{Servers: []string{":53"}}, `":53"`},
		{"route without hosts", Config{Servers: ok, Static: []StaticRoute{{Domain: "a.example"}}}, `"a.example"`},
		{"route of a bad domain", Config{Servers: ok, Static: []StaticRoute{{Domain: "a b", Hosts: []string{"c"}}}}, `"a b"`},
		{"route of a literal", Config{Servers: ok, Static: []StaticRoute{{Domain: "[192.0.2.1]", Hosts: []string{"c"}}}}, `"[192.0.2.1]"`},
		{"bad host of a route", Config{Servers: ok, Static: []StaticRoute{{Domain: "a", Hosts: []string{"c:x"}}}}, `"c:x"`},
		{"bad fallback", Config{Servers: ok, Fallback: []string{"192.0.2.1"}}, `"192.0.2.1"`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := New(c.config)
			require.Error(t, err, "the configuration should be refused")
			assert.Contains(t, err.Error(), c.want, "the error should name the entry")
		})
	}
}

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(file, []byte("search a.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"), 0o600), "the file should be written")
	servers, err := systemServers(file)
	require.NoError(t, err, "the file should be read")
	assert.Equal(t, []string{"192.0.2.53:53", "[2001:db8::53]:53"}, servers, "both servers should be found")

	require.NoError(t, os.WriteFile(file, []byte("search a.example\n"), 0o600), "the file should be written")
	_, err = systemServers(file)
	assert.ErrorContains(t, err, "dns.servers", "the error should say what to do")
	_, err = systemServers(file + ".gone")
	assert.ErrorContains(t, err, "dns.servers", "the error should say what to do")
}
