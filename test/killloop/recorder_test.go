package killloop

import (
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// startRecorder starts one with one host.
func startRecorder(t *testing.T, slow time.Duration) *recorderProcess {
	t.Helper()
	r := &recorderProcess{letter: "x", file: filepath.Join(t.TempDir(), "file"), slow: slow, hub: newHub()}
	r.hosts = []string{net.JoinHostPort("127.88.9.1", strconv.Itoa(unusedPort(t)))}
	r.start(t)
	t.Cleanup(func() { r.end(t) })
	return r
}

// await fails when an event does not come.
func (r *recorderProcess) await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(feedd.Patience):
		require.Fail(t, "what is waited for happens")
	}
}

func TestRecorderHasWhatItTookWhenItIsKilled(t *testing.T) {
	r := startRecorder(t, time.Hour)
	kept := r.hub.after(Kept, 1)
	ended := make(chan error, 1) // from the submission below, which ends with the recorder
	m := hosts.Mail{From: "a@sender.example", To: []string{"b@x.example", "c@x.example"}, Content: "Subject: x\r\n\r\n"}
	go func() {
		_, err := hosts.Submit(r.hosts[0], m)
		ended <- err
	}()
	r.await(t, kept)
	r.kill(t)
	require.Error(t, <-ended, "no 250 was given")
	tail := NewTail(r.file)
	all, _, err := tail.Entries()
	require.NoError(t, err, "the file is there")
	require.Len(t, all, 1, "with what was taken, and no reply")
	assert.Equal(t, []string{"x1-1"}, all[0].IDs, "it has a name")
	assert.Equal(t, m.To, all[0].To, "and its recipients")
	assert.Less(t, all[0].Since, all[0].At, "and when its session began")

	r.slow = 0
	r.start(t)
	answered := r.hub.after(Answered, 1)
	replies, err := hosts.Submit(r.hosts[0], m)
	require.NoError(t, err, "the next one takes it at the same address")
	assert.Equal(t, []string{Reply("x2-1")}, replies, "and says by which name")
	r.await(t, answered)
	all, torn, err := tail.Entries()
	require.NoError(t, err, "the file is the same")
	require.Len(t, all, 2, "with the message and its reply")
	assert.Zero(t, torn, "whole")
	assert.Equal(t, Told, all[1].Kind, "in this order")
	assert.Equal(t, all[0].IDs, all[1].IDs, "of one message")
}

func TestRecorderTellsWhatTheClientDidWrong(t *testing.T) {
	r := startRecorder(t, 0)
	c, err := net.Dial("tcp", r.hosts[0])
	require.NoError(t, err, "it takes connections")
	defer c.Close()
	_, err = c.Write([]byte("RUBBISH\r\nQUIT\r\n"))
	require.NoError(t, err, "and octets")
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err, "and answers")
	for c.SetReadDeadline(time.Now().Add(feedd.Patience)); err == nil; {
		_, err = c.Read(make([]byte, 512))
	}
	r.end(t)
	all, _, err := NewTail(r.file).Entries()
	require.NoError(t, err, "the file is there")
	require.NotEmpty(t, all, "with what was wrong")
	assert.Equal(t, Broken, all[0].Kind, "the protocol was broken")
	assert.Contains(t, all[0].What, "RUBBISH", "by this")
}
