package main

import (
	"encoding"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A value is one of the configuration's types.
type value interface {
	encoding.TextUnmarshaler
	encoding.TextMarshaler
}

func TestValuesReadBack(t *testing.T) {
	for _, c := range []struct {
		v             value
		text, written string
	}{
		{new(Duration), "540s", "540s"},
		{new(Duration), "9m", "540s"},
		{new(Duration), "1h30m", "5400s"},
		{new(Duration), "250ms", "250ms"},
		{new(Duration), "0s", "0s"},
		{new(Size), "64MiB", "64MiB"},
		{new(Size), "1024MiB", "1GiB"},
		{new(Size), "1000", "1000B"},
		{new(Size), "0", "0"},
		{new(Size), "8388607TiB", "8388607TiB"},
		{new(FileMode), "0660", "0660"},
		{new(FileMode), "7", "0007"},
		{new(Listen), "unix:/run/x", "unix:/run/x"},
		{new(Listen), "tcp:[::1]:24", "tcp:[::1]:24"},
		{new(Listen), "", ""},
		{new(Server), "192.0.2.1", "192.0.2.1:53"},
		{new(Server), "[fe80::1%eth0]:53", "[fe80::1%eth0]:53"},
		{new(Prefix), "default", "default"},
		{new(Prefix), "2001:db8::/32", "2001:db8::/32"},
		{new(Prefix), "192.0.2.1", "192.0.2.1/32"},
		{new(Piggyback), "always", "always"},
		{new(Family), "ipv6", "ipv6"},
		{new(Level), "debug", "debug"},
		{new(Level), "error", "error"},
	} {
		require.NoError(t, c.v.UnmarshalText([]byte(c.text)), "%T reads %q", c.v, c.text)
		got, err := c.v.MarshalText()
		require.NoError(t, err, "%T writes %q", c.v, c.text)
		assert.Equal(t, c.written, string(got), "%T writes what it read from %q", c.v, c.text)
		again := c.v
		require.NoError(t, again.UnmarshalText(got), "%T reads what it wrote", c.v)
		assert.Equal(t, c.v, again, "%T says the same", c.v)
	}
}

func TestValuesRefused(t *testing.T) {
	for _, c := range []struct {
		rule string
		v    value
		text string
	}{
		{"a duration needs a unit", new(Duration), "30"},
		{"and a sign nobody means", new(Duration), "-30s"},
		{"a size of 63 bits at most", new(Size), "8388608TiB"},
		{"a size is whole", new(Size), "1.5GiB"},
		{"a size is not negative", new(Size), "-1B"},
		{"a suffix alone is no size", new(Size), "MiB"},
		{"a mode is permissions only", new(FileMode), "4755"},
		{"a mode is octal", new(FileMode), "0888"},
		{"a socket's path is absolute", new(Listen), "unix:lmtp.sock"},
		{"a port is a number", new(Listen), "tcp:127.0.0.1:lmtp"},
		{"a port has 16 bits", new(Listen), "tcp:127.0.0.1:70000"},
		{"an unknown network", new(Listen), "udp:127.0.0.1:24"},
		{"a server has a port", new(Server), "192.0.2.1:0"},
		{"a server is an address", new(Server), "localhost"},
		{"a range has no zone", new(Prefix), "fe80::1%eth0"},
		{"a word is written as documented", new(Family), "IPv4"},
	} {
		assert.Error(t, c.v.UnmarshalText([]byte(c.text)), "%s: %q", c.rule, c.text)
	}
}

func TestSuggestion(t *testing.T) {
	for key, want := range map[string]string{
		"smtp.conect_timeout":       "connect_timeout",
		"smtp.session":              "sessions",
		"lmtp.maxmessagesize":       "max_message_size",
		"dns.server":                "servers",
		"log.file":                  "",
		"timeouts":                  "smtp.timeouts",
		"smtp.mta_sts":              "tls.mta_sts",
		"admin.listn":               "listen",
		"hostnam":                   "hostname",
		"ledgr":                     "ledger",
		"route.host":                "hosts",
		strings.Repeat("long.", 99): "",
	} {
		got := suggestion(key)
		if want != "" {
			want = "; did you mean " + want + "?"
		}
		assert.Equal(t, want, got, "for %s", key)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"sesions", "sessions", 1}, {"kitten", "sitting", 3}, {"port", "prot", 2}} {
		assert.Equal(t, c.want, editDistance(c.a, c.b), "from %q to %q", c.a, c.b)
		assert.Equal(t, c.want, editDistance(c.b, c.a), "and back")
	}
}
