package main

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// with changes the configuration file.
func (w *world) with(t *testing.T, old, new string) string {
	t.Helper()
	file := w.config(t, "")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, writeFile(file, strings.Replace(string(text), old, new, 1)))
	return file
}

// Root and smtpfeed's own user are always let in; TestPeers of package lmtp has the others.
func TestServeKnowsItsPeers(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d := w.start(t, w.with(t, "[dns]", "peers = [\"daemon\", \"4711\"]\n[dns]"))
	h := w.host(t)
	h.envelope("a@example.test")
	h.send(".\r\n")
	h.expect("250")
	assert.Contains(t, w.get(t, "status"), "1 connection, 0 not in lmtp.peers", "status counts those who are not let in")
	assert.Contains(t, w.page(t, "/metrics"), "\nsmtpfeed_lmtp_connections_refused_total 0\n", "and so do the metrics")
	assert.NotNil(t, d.peers, "there is a list")
}

// Loopback needs no permission, and with one any address may be listened on.
func TestServeOpensTCP(t *testing.T) {
	w := newWorld(t, mxsim.Config{})
	d := w.start(t, w.with(t, "listen = [", "open_tcp = true\nlisten = [\"tcp:0.0.0.0:0\", "))
	require.Len(t, d.listeners, 2, "both sockets are open")
	port := d.listeners[0].Addr().(*net.TCPAddr).Port
	c, err := net.Dial("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
	require.NoError(t, err, "it is open")
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "220 feed.example.test", "and LMTP is spoken there")
}
