package resources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// toStandardOutput are the lines of [log] for records that somebody reads from a pipe or a terminal.
const toStandardOutput = "deliveries = \"-\"\nwait = \"2s\""

// A reader reads when it is let to.
type reader struct {
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{} // closed at the end of the input
}

// read begins to read.
func read(from *os.File) *reader {
	r := &reader{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		io.Copy(r, from)
	}()
	return r
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// seen are the whole lines so far.
func (r *reader) seen() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestStoppedReader(t *testing.T) {
	in, out, err := os.Pipe()
	require.NoError(t, err, "there is a pipe")
	defer in.Close()
	out.Fd() // blocking, as a shell makes it
	mail := startList(t)
	p := start(t, setup{dns: mail.DNSAddr(), port: mail.Port(), log: toStandardOutput, out: out, keepLog: true})
	require.NoError(t, out.Close(), "smtpfeed alone has the other end")

	mail.deliver(t, p, 1000) // half a MiB of records, of which a pipe holds 64 KiB
	s := p.status(t).Records
	assert.EqualValues(t, 1000, s.Lost+s.Written, "mail went on without records that nobody read, and counts them")
	assert.Positive(t, s.Lost, "as lost")
	assert.Contains(t, p.ask(t, "/status"), "its reader has stopped", "status says why")
	mail.deliver(t, p, 1000)
	assert.EqualValues(t, s.Lost+1000, p.status(t).Records.Lost, "a reader that has stopped is not waited for again")

	p.signal(t, syscall.SIGHUP)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Contains(c, feedd.ReadLog(t, p.path("log")), "msg=reloaded", "the log says so")
	}, feedd.Patience, 10*time.Millisecond, "SIGHUP is obeyed while a write is blocked")

	r := read(in)
	p.awaitRecords(t)
	mail.deliver(t, p, 1000)
	s = p.status(t).Records
	assert.Contains(t, feedd.ReadLog(t, p.path("log")), "written again", "the log says that it is over")
	p.end(t)
	<-r.done
	lines := wholeLines(t, r.seen())
	t.Logf("%d records written in time, %d lost, of these %d late; %d read", s.Written, s.Lost, s.Late, len(lines))
	assert.EqualValues(t, s.Written+s.Late, len(lines), "what counts as written was read, every line whole")
	assert.GreaterOrEqual(t, s.Written, uint64(1000), "the last thousand are there")
}

// awaitRecords waits until records are written again.
func (p *program) awaitRecords(t *testing.T) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Contains(c, p.ask(c, "/metrics"), "\nsmtpfeed_records_failing 0\n", "the metric says so")
	}, feedd.Patience, 10*time.Millisecond, "records resume as soon as the reader reads")
}

// terminal makes a pseudo terminal: its keyboard and screen, and what a program has of it.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err, "there is a terminal")
	t.Cleanup(func() { screen.Close() })
	raw, err := screen.SyscallConn() // Fd would make it blocking, and Close wait for who reads
	require.NoError(t, err, "it can be controlled")
	var number int
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		if failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	require.NoError(t, errors.Join(err, failed), "it can be opened, and has a name")
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err, "a program can have it")
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// What ^S and ^Q do, when the kernel comes to it (tcflow(3)).
const (
	stopOutput  = 0
	startOutput = 1
)

func flow(t *testing.T, tty *os.File, action int) {
	t.Helper()
	require.NoError(t, unix.IoctlSetInt(int(tty.Fd()), unix.TCXONC, action), "the terminal obeys")
}

func TestStoppedTerminal(t *testing.T) {
	screen, tty := terminal(t)
	mail := startList(t)
	p := start(t, setup{dns: mail.DNSAddr(), port: mail.Port(), log: toStandardOutput, out: tty, keepLog: true})
	r := read(screen)
	mail.deliver(t, p, 20)
	before := p.status(t).Records
	assert.EqualValues(t, 20, before.Written, "records are shown")

	flow(t, tty, stopOutput)
	mail.deliver(t, p, 20)
	assert.EqualValues(t, 20, p.status(t).Records.Lost, "mail goes on without its records")

	flow(t, tty, startOutput)
	p.awaitRecords(t)
	mail.deliver(t, p, 20)
	s := p.status(t).Records
	assert.EqualValues(t, 40, s.Written, "what follows is written in time")
	assert.Positive(t, s.Late, "and what was under way late")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.EqualValues(c, s.Written+s.Late, strings.Count(r.seen(), "\n"), "lines on the screen")
	}, feedd.Patience, 10*time.Millisecond, "all of it is shown")
	wholeLines(t, r.seen())

	require.NoError(t, screen.Close(), "the line is cut: writes fail with EIO")
	mail.deliver(t, p, 20)
	assert.Contains(t, p.ask(t, "/status"), "input/output error", "mail goes on, and status says why records do not")
}
