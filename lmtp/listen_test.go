package lmtp

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600), "a file can be written")
	tests := []struct{ rule, spec, says string }{
		{"no network", "/run/x.sock", "write unix:PATH or tcp:HOST:PORT"},
		{"another network", "udp:127.0.0.1:1", "write unix:PATH or tcp:HOST:PORT"},
		{"no path", "unix:", "write unix:PATH"},
		{"a path too long for a socket", "unix:" + dir + "/" + strings.Repeat("x", 100), "choose a shorter one"},
		{"no directory", "unix:" + dir + "/none/x.sock", "does not exist; create it"},
		{"a file that is no socket", "unix:" + file, "remove it or choose another path"},
		{"no port", "tcp:127.0.0.1", "write tcp:HOST:PORT"},
		{"every address", "tcp::2424", "write the address, as in tcp:127.0.0.1:2424"},
		{"every address, written out", "tcp:0.0.0.0:2424", "LMTP knows no authentication"},
		{"the key that opens it is named", "tcp:0.0.0.0:2424", "set lmtp.open_tcp = true"},
		{"every IPv6 address", "tcp:[::]:2424", "LMTP knows no authentication"},
		{"an address of others", "tcp:192.0.2.1:2424", "LMTP knows no authentication"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := Listen(tt.spec, 0o600)
			require.Error(t, err, "nothing listens")
			assert.Contains(t, err.Error(), tt.says, "the error says what to do")
		})
	}
	_, err := os.Stat(file)
	assert.NoError(t, err, "the file is still there")
}

func TestListenTCP(t *testing.T) {
	l, err := Listen("tcp:127.0.0.1:0", 0)
	require.NoError(t, err, "a loopback port can be had")
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err, "it answers")
	c.Close()
}

func TestListenWhereOthersReachIt(t *testing.T) {
	l, err := Socket{Spec: "tcp:0.0.0.0:0", Reach: Network}.Listen()
	require.NoError(t, err, "the operator has said so")
	defer l.Close()
	assert.NoError(t, Network.Admits(l), "and may")
	err = Loopback.Admits(l)
	require.Error(t, err, "a socket that somebody else opened is looked at too")
	assert.Contains(t, err.Error(), "set lmtp.open_tcp = true", "the error names the key")
	_, err = Socket{Spec: "tcp::0", Reach: Network}.Listen()
	require.Error(t, err, "every address has to be written out")
	assert.Contains(t, err.Error(), "tcp:0.0.0.0:2424", "and the error says how")
}

func TestLoopbackAdmitsWhatOthersDoNotReach(t *testing.T) {
	for _, spec := range []string{"tcp:127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "lmtp.sock")} {
		l, err := Listen(spec, 0o600)
		require.NoError(t, err, "%s can be had", spec)
		assert.NoError(t, Loopback.Admits(l), "nobody else reaches %s", spec)
		l.Close()
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp.sock")
	l, err := Listen("unix:"+path, 0o620)
	require.NoError(t, err, "the socket can be made")
	info, err := os.Stat(path)
	require.NoError(t, err, "it stands at its path")
	assert.Equal(t, os.FileMode(0o620), info.Mode().Perm(), "it has its mode, whatever the umask")
	assert.Equal(t, path, l.Addr().String(), "its address is its path")

	_, err = Listen("unix:"+path, 0o600)
	require.Error(t, err, "a second one is refused (OPS-08)")
	assert.Contains(t, err.Error(), "in use by another smtpfeed", "and told why")
	c, err := net.Dial("unix", path)
	require.NoError(t, err, "the first still answers")
	c.Close()

	require.NoError(t, l.Close(), "it closes")
	assert.Empty(t, filesIn(t, filepath.Dir(path)), "no file is left")
}

func TestListenReplacesAStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err, "the socket can be made")
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close(), "its process dies")
	l, err := Listen("unix:"+path, 0o600)
	require.NoError(t, err, "nobody listens there, so it is replaced")
	defer l.Close()
	c, err := net.Dial("unix", path)
	require.NoError(t, err, "the new one answers")
	c.Close()
}

func TestListenLeavesASocketThatIsNotItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp.sock")
	first, err := Listen("unix:"+path, 0o600)
	require.NoError(t, err, "the first socket can be made")
	require.NoError(t, os.Remove(path), "the operator removes it")
	second, err := Listen("unix:"+path, 0o600)
	require.NoError(t, err, "the second takes the place")
	require.NoError(t, first.Close(), "the first closes")
	c, err := net.Dial("unix", path)
	require.NoError(t, err, "the second still answers")
	c.Close()
	second.Close()
}

// Two that start at the same time must not both find a stale socket and replace it.
func TestListenWhileAnotherStarts(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	require.NoError(t, err, "the directory can be opened")
	require.NoError(t, syscall.Flock(int(d.Fd()), syscall.LOCK_EX), "another one holds the lock")
	_, err = Listen("unix:"+filepath.Join(dir, "lmtp.sock"), 0o600)
	require.Error(t, err, "this one does not wait")
	assert.Contains(t, err.Error(), "in use by another smtpfeed", "and is told why")
	d.Close()
	l, err := Listen("unix:"+filepath.Join(dir, "lmtp.sock"), 0o600)
	require.NoError(t, err, "afterwards it can")
	l.Close()
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err, "the directory can be read")
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestServeManyListeners(t *testing.T) {
	f := newFixture(t, Config{})
	l, err := Listen("tcp:127.0.0.1:0", 0)
	require.NoError(t, err, "a loopback port can be had")
	f.serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err, "the second listener answers")
	newHost(t, c).hello()
	f.host()
	f.server.Drain(t.Context())
	assert.Zero(t, f.server.Stats().Connections, "Drain ends both")
	_, err = os.Stat(f.listen)
	assert.ErrorIs(t, err, os.ErrNotExist, "the socket is gone")
}
