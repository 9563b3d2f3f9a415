package lmtp

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewPeersErrors(t *testing.T) {
	tests := []struct{ rule, user, says string }{
		{"a name nobody has", "no-such-user-here", `no user "no-such-user-here" on this machine; write a name of /etc/passwd, or a number`},
		{"no name", "", "no user"},
		{"a negative number", "-1", "no user"},
		{"a number no user can have", "4294967296", "no user"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := NewPeers([]string{"0", tt.user}, nil)
			require.Error(t, err, "the list is refused")
			assert.Contains(t, err.Error(), tt.says, "the error says what to do")
		})
	}
}

func TestNewPeersKnowsNamesAndNumbers(t *testing.T) {
	p, err := NewPeers([]string{"root", "4242"}, nil)
	require.NoError(t, err, "both are users")
	assert.True(t, p.allowed[0], "root by its name")
	assert.True(t, p.allowed[4242], "a number needs no name")
	assert.True(t, p.allowed[uint32(os.Geteuid())], "we ourselves without being listed")
	assert.False(t, p.allowed[4243], "and nobody else")
}

// guardedSocket serves a fixture's server also on a socket that peers guard.
func guardedSocket(t *testing.T, p *Peers) (path string) {
	t.Helper()
	f := newFixture(t, Config{})
	path = filepath.Join(t.TempDir(), "guarded.sock")
	l, err := Listen("unix:"+path, 0o600)
	require.NoError(t, err, "the socket can be made")
	f.serve(p.Guard(l))
	return path
}

func TestListedUsersAreServed(t *testing.T) {
	p, err := NewPeers([]string{"4242"}, nil)
	require.NoError(t, err, "the list is made")
	c, err := net.Dial("unix", guardedSocket(t, p))
	require.NoError(t, err, "the socket answers")
	newHost(t, c).hello() // our own user is always among them
	assert.Zero(t, p.Refused(), "nobody was refused")
}

func TestOthersAreToldWhyAndCounted(t *testing.T) {
	var log bytes.Buffer
	p := &Peers{allowed: map[uint32]bool{uint32(os.Geteuid()) + 1: true}, // as if we were somebody else
		lines: refusalLines{log: slog.New(slog.NewTextHandler(&log, nil))}}
	path := guardedSocket(t, p)
	for n := range uint64(3) {
		c, err := net.Dial("unix", path)
		require.NoError(t, err, "the socket takes the connection")
		_, err = io.WriteString(c, "LHLO impatient.example\r\n") // before the greeting; it changes nothing, nor does its failure
		_ = err
		in := bufio.NewReader(c)
		line, err := in.ReadString('\n')
		require.NoError(t, err, "there is a greeting")
		assert.Equal(t, "421 4.7.1 user "+strconv.Itoa(os.Geteuid())+" is not in lmtp.peers\r\n", line,
			"it is one on which hosts keep their mail, and says why")
		_, err = in.ReadByte()
		assert.Error(t, err, "and that is all")
		c.Close()
		assert.Equal(t, n+1, p.Refused(), "each is counted, before it is told")
	}
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), "one line says it for many")
	assert.Contains(t, log.String(), "uid="+strconv.Itoa(os.Geteuid()), "with the user")
}

func TestRefusalLinesComeAgain(t *testing.T) {
	var log bytes.Buffer
	r := refusalLines{log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Unix(1, 0)
	for n := range uint64(21) {
		r.tell(now.Add(time.Duration(n)*time.Second), peer{known: true, uid: 7}, nil, n+1)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3, "one at once, then one after each pause")
	assert.Contains(t, lines[2], "refused=21", "each with all there were so far")
}

// A connection without credentials is nobody's, and nobody is not on the list.
func TestAConnectionOfNobodyIsRefused(t *testing.T) {
	p, err := NewPeers([]string{"root"}, nil)
	require.NoError(t, err, "the list is made")
	ours, theirs := net.Pipe()
	told := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(theirs)
		told <- string(all)
	}()
	assert.False(t, p.admit(ours), "it is refused")
	assert.Equal(t, "421 4.7.1 the user of this connection is unknown\r\n", <-told, "and told so")
}

func TestGuardLeavesWhatItCannotGuard(t *testing.T) {
	tcp, err := Listen("tcp:127.0.0.1:0", 0)
	require.NoError(t, err, "a loopback port can be had")
	defer tcp.Close()
	some, err := NewPeers([]string{"root"}, nil)
	require.NoError(t, err, "the list is made")
	assert.Equal(t, tcp, some.Guard(tcp), "TCP has no users")
	none, err := NewPeers(nil, nil)
	require.NoError(t, err, "an empty list is none")
	unix, err := Listen("unix:"+filepath.Join(t.TempDir(), "s"), 0o600)
	require.NoError(t, err, "a socket can be had")
	defer unix.Close()
	assert.Equal(t, unix, none.Guard(unix), "without a list the socket's mode decides")
	assert.Equal(t, unix, (*Peers)(nil).Guard(unix), "nor with none at all")
	assert.Zero(t, (*Peers)(nil).Refused(), "which refuses nobody")
}
