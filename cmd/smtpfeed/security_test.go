package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// secretFile writes a file of credentials.
func secretFile(t *testing.T, text string, mode os.FileMode) string {
	path := filepath.Join(t.TempDir(), "relay.secret")
	require.NoError(t, os.WriteFile(path, []byte(text), mode), "the file is written")
	require.NoError(t, os.Chmod(path, mode), "with this mode, whatever the umask")
	return path
}

const goodSecret = "user = \"me\"\npassword = \"hunter2 \u00e4\"\n"

func TestReadCredentials(t *testing.T) {
	for _, c := range []struct {
		rule, text string
		mode       os.FileMode
		want       *feed.Credentials
	}{
		{"the owner's", goodSecret, 0o600, &feed.Credentials{User: "me", Password: "hunter2 \u00e4"}},
		{"the group's too", goodSecret, 0o640, &feed.Credentials{User: "me", Password: "hunter2 \u00e4"}},
		{"with mechanisms", goodSecret + "mechanisms = [\"login\", \"PLAIN\"]\n", 0o400, &feed.Credentials{User: "me", Password: "hunter2 \u00e4", Mechanisms: []string{"LOGIN", "PLAIN"}}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			path := secretFile(t, c.text, c.mode)
			who, err := readCredentials(path)
			require.NoError(t, err, "the file is good")
			c.want.Source = path // for logs
			assert.Equal(t, c.want, who, "and was understood")
		})
	}
}

// What is wrong with a file of credentials is told without a word of what stands in it.
func TestCredentialsRefused(t *testing.T) {
	for _, c := range []struct {
		rule, text string
		mode       os.FileMode
		says       string
	}{
		{"readable for everybody", goodSecret, 0o644, "chmod 0600"},
		{"writable for everybody", goodSecret, 0o602, "chmod 0600"},
		{"empty", "", 0o600, "has no user or no password"},
		{"no password", "user = \"me\"\n", 0o600, "has no user or no password"},
		{"no user", "password = \"hunter2\"\n", 0o600, "has no user or no password"},
		{"an empty password", "user = \"me\"\npassword = \"\"\n", 0o600, "has no user or no password"},
		{"an unknown key", goodSecret + "pasword = \"hunter2\"\n", 0o600, "want only lines as"},
		{"no TOML", "me:hunter2\n", 0o600, "want only lines as"},
		{"a password that is no text", "user = \"me\"\npassword = hunter2\n", 0o600, "want only lines as"},
		{"quotes without end", "user = \"me\"\npassword = \"hunter2\n", 0o600, "want only lines as"},
		{"an unknown mechanism", goodSecret + "mechanisms = [\"CRAM-MD5\"]\n", 0o600, "write PLAIN or LOGIN"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := readCredentials(secretFile(t, c.text, c.mode))
			require.ErrorContains(t, err, c.says, "the error says what is wrong")
			assert.NotContains(t, err.Error(), "hunter2", "and not the password")
		})
	}
	_, err := readCredentials(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist, "a file that is not there")
	assert.ErrorContains(t, err, `write user = "..."`, "is told what should stand in it")
}

func TestReadRoots(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "roots.pem")
		require.NoError(t, writeFile(path, text), "the file is written")
		return path
	}
	pool, err := readRoots("")
	assert.NoError(t, err, "nothing is configured")
	assert.Nil(t, pool, "so the system's count")
	a := mxsim.NewAuthority("test")
	pool, err = readRoots(write(string(a.PEM())))
	require.NoError(t, err, "a certificate in PEM form")
	assert.True(t, pool.Equal(a.Pool()), "is a root")
	_, key := a.Issue("x.test").PEM()
	for rule, path := range map[string]string{"a file that is not there": filepath.Join(t.TempDir(), "none"), "an empty file": write(""), "something else": write("x"),
		"a key instead of a certificate": write(string(key))} {
		_, err := readRoots(path)
		assert.ErrorContains(t, err, "tls.roots: ", "the error names the key: %s", rule)
	}
}

// tlsOf is what the feeder is told of a configuration.
func tlsOf(t *testing.T, text string) feed.TLS {
	c, err := Parse("f", []byte(text))
	require.NoError(t, err, "the configuration is good")
	got, err := c.tls()
	require.NoError(t, err, "and so are its files")
	return got
}

func TestRoutesBecomeRelays(t *testing.T) {
	secret := secretFile(t, goodSecret, 0o600)
	auth := "auth = \"" + secret + "\"\n"
	who := &feed.Credentials{Source: secret, User: "me", Password: "hunter2 \u00e4"}
	for _, c := range []struct {
		rule, text string
		want       feed.Destination
	}{
		{"a route that says nothing of TLS", "domain = \"a.example\"\nhosts = [\"h.example\"]\n", feed.Destination{Domain: "a.example", Mode: feed.TLSVerified, Plain: true}},
		{"a password wants a verified host", "domain = \"a.example\"\nhosts = [\"h.example\"]\n" + auth, feed.Destination{Domain: "a.example", Mode: feed.TLSVerified, Auth: who}},
		{"all domains", "domain = \"*\"\nhosts = [\"h.example:587\"]\n" + auth, feed.Destination{Domain: "*", Mode: feed.TLSVerified, Auth: who}},
		{"a name in another script", "domain = \"B\u00fccher.example\"\nhosts = [\"h.example\"]\ntls = \"required\"\n", feed.Destination{Domain: "xn--bcher-kva.example", Mode: feed.TLSRequired}},
		{"the subdomains of one", "domain = \".B\u00fccher.example\"\nhosts = [\"h.example\"]\ntls = \"off\"\n", feed.Destination{Domain: ".xn--bcher-kva.example", Mode: feed.TLSOff}},
		{"names are folded", "domain = \"a.example\"\nhosts = [\"h.example\"]\nnames = [\"M.Example\", \".B\u00fccher.example\"]\n",
			feed.Destination{Domain: "a.example", Mode: feed.TLSVerified, Names: []string{"m.example", ".xn--bcher-kva.example"}}},
		{"port 465", "domain = \"a.example\"\nhosts = [\"h.example:465\"]\n", feed.Destination{Domain: "a.example", Mode: feed.TLSVerified, Implicit: true}},
		{"port 465 of an address", "domain = \"a.example\"\nhosts = [\"[2001:db8::1]:465\"]\nnames = [\"m.example\"]\n",
			feed.Destination{Domain: "a.example", Mode: feed.TLSVerified, Implicit: true, Names: []string{"m.example"}}},
		{"an address that ends in 465", "domain = \"a.example\"\nhosts = [\"[2001:db8::465]\"]\n", feed.Destination{Domain: "a.example", Mode: feed.TLSVerified, Plain: true}},
		{"implicit TLS on another port", "domain = \"a.example\"\nhosts = [\"h.example:10465\"]\nimplicit_tls = true\ntls = \"required\"\n",
			feed.Destination{Domain: "a.example", Mode: feed.TLSRequired, Implicit: true}},
		{"a password in clear", "domain = \"a.example\"\nhosts = [\"h.example\"]\ntls = \"off\"\nauth_in_clear = true\n" + auth,
			feed.Destination{Domain: "a.example", Mode: feed.TLSOff, Auth: who, AuthInClear: true}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := tlsOf(t, "[[route]]\n"+c.text)
			assert.Equal(t, []feed.Destination{c.want}, got.Relays, "the feeder is told this")
			assert.Empty(t, got.Destinations, "and nothing of other domains' exchangers")
		})
	}
}

func TestDestinationsAreFolded(t *testing.T) {
	got := tlsOf(t, "[tls]\nmode = \"required\"\ntickets = 7\n[[tls.destination]]\ndomain = \"*\"\nmode = \"off\"\n"+
		"[[tls.destination]]\ndomain = \".B\u00fccher.example\"\nmode = \"verified\"\nnames = [\"MX.example\"]\n")
	assert.Equal(t, feed.TLSRequired, got.Mode, "the mode")
	assert.Equal(t, 7, got.Tickets, "the number of tickets")
	assert.Equal(t, []feed.Destination{{Domain: "*", Mode: feed.TLSOff}, {Domain: ".xn--bcher-kva.example", Mode: feed.TLSVerified, Names: []string{"mx.example"}}},
		got.Destinations, "destinations as they are compared")
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	c, err := Parse("f", []byte("[[route]]\ndomain = \"a.example\"\nhosts = [\"h.example\"]\nauth = \""+secretFile(t, goodSecret, 0o644)+"\"\n"))
	require.NoError(t, err, "the configuration itself is good")
	_, err = c.tls()
	require.ErrorContains(t, err, "route a.example: auth: ", "the error names the route")
	assert.NotContains(t, err.Error(), "hunter2", "and not the password")
}

// A configuration that is shown names the file of a password, and has nothing of what stands in it.
func TestConfigurationShowsNoPassword(t *testing.T) {
	path := secretFile(t, goodSecret, 0o600)
	c, err := Parse("f", []byte("[[route]]\ndomain = \"a.example\"\nhosts = [\"h.example\"]\nauth = \""+path+"\"\n"))
	require.NoError(t, err, "the configuration is good")
	assert.Contains(t, c.String(), path, "the file is named")
	assert.NotContains(t, c.String(), "hunter2", "its content is not")
}
