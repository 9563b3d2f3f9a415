package lmtp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/test/hostsim"
)

// hostProcess, set in the environment, makes the test's program a host MTA: "SOCKET RECIPIENTS GROUP".
const hostProcess = "LMTP_TEST_HOST"

func TestMain(m *testing.M) {
	if job := os.Getenv(hostProcess); job != "" {
		if err := beHost(job, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beHost hands a list over for each line it is told, and answers with a line when all of it was answered.
func beHost(job string, told io.Reader, answer io.Writer) error {
	var socket string
	var recipients, group int
	if _, err := fmt.Sscan(job, &socket, &recipients, &group); err != nil {
		return err
	}
	c, err := hostsim.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Group = group
	m := hostsim.Message{From: "sender@example.org", To: list(recipients), Body: []byte("Subject: x\r\n\r\ntext\r\n")}
	for in := bufio.NewScanner(told); in.Scan(); {
		r, err := c.Deliver(m, nil)
		if err == nil {
			err = allDelivered(r, recipients)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(answer, "done")
	}
	return nil
}

func list(recipients int) []string {
	to := make([]string, recipients)
	for i := range to {
		to[i] = "user" + strconv.Itoa(i) + "@domain" + strconv.Itoa(i%10000) + ".example"
	}
	return to
}

func allDelivered(r hostsim.Result, recipients int) error {
	if len(r.Final) != recipients {
		return fmt.Errorf("%d final replies for %d recipients", len(r.Final), recipients)
	}
	for i, f := range r.Final {
		if f.Code != 250 {
			return fmt.Errorf("recipient %d: %d %s", i, f.Code, f.Text)
		}
	}
	return nil
}

// BenchmarkHandOver is one transaction over a unix socket, with a Mailer that settles everything at once. The host is another
// process, so that CPU time, allocations and system calls are ours alone.
func BenchmarkHandOver(b *testing.B) {
	for _, bb := range []struct {
		name              string
		recipients, group int
	}{
		{"all at once/10000", 10000, 0},
		{"all at once/100000", 100000, 0},
		{"as Postfix/10000", 10000, hostsim.PostfixGroup},
		{"as Postfix/100000", 100000, hostsim.PostfixGroup},
		{"one", 1, 0},
	} {
		b.Run(bb.name, func(b *testing.B) { handOver(b, bb.recipients, bb.group) })
	}
}

func handOver(b *testing.B, recipients, group int) {
	l := watchedListener(b)
	m := &stopwatch{mailer: newMailer(), calls: l.calls}
	s := New(Config{Mailer: m})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	round, stop := startHost(b, l.Addr().String(), recipients, group)
	round() // nothing is measured of the first
	*m = stopwatch{mailer: m.mailer, calls: l.calls}
	b.ReportAllocs()
	b.ResetTimer()
	cpu, before := cpuTime(), l.calls.count.Load()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N*recipients), "cpu-ns/recipient")
	b.ReportMetric(float64(l.calls.count.Load()-before)/float64(b.N), "calls/op")
	for name, spent := range map[string]time.Duration{"rcpt-to-hint-us": m.hinting, "hint-to-send-us": m.intake, "dot-to-send-us": m.sending} {
		b.ReportMetric(float64(spent.Microseconds())/float64(b.N), name)
	}
	stop()
	s.Close()
	<-done
}

// startHost starts the other process. round makes it hand one list over.
func startHost(b *testing.B, socket string, recipients, group int) (round, stop func()) {
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", hostProcess, socket, recipients, group), "GOMAXPROCS=1")
	host.Stderr = os.Stderr
	in, err := host.StdinPipe()
	require.NoError(b, err, "the host has an input")
	out, err := host.StdoutPipe()
	require.NoError(b, err, "the host has an output")
	require.NoError(b, host.Start(), "the host starts")
	answers := bufio.NewReader(out)
	round = func() {
		_, err := io.WriteString(in, "next\n")
		require.NoError(b, err, "the host takes an order")
		_, err = answers.ReadString('\n')
		require.NoError(b, err, "the host has heard all replies")
	}
	return round, func() {
		in.Close()
		require.NoError(b, host.Wait(), "the host ends well")
	}
}

// A stopwatch is a Mailer that settles everything at once, and measures how soon it is told what.
type stopwatch struct {
	*mailer
	calls *calls
	first time.Time // hint of this envelope

	hinting time.Duration // from the read that brought the first RCPT to its hint
	intake  time.Duration // from there to the hand-over
	sending time.Duration // from the read that brought the final dot to the hand-over
}

func (s *stopwatch) Hint(string) {
	if s.first.IsZero() {
		s.first = time.Now()
		s.hinting += s.calls.sinceRead()
	}
}

func (s *stopwatch) Expect(domain string) { s.Hint(domain) }

func (s *stopwatch) Refusal(string) *feed.Outcome { return nil }

func (s *stopwatch) Send(e *feed.Envelope) {
	s.sending += s.calls.sinceRead()
	s.intake += time.Since(s.first)
	s.first = time.Time{}
	deliverAll(e)
}

// calls are the system calls of connections.
type calls struct {
	count atomic.Int64
	read  atomic.Int64 // when the last one that read returned, in nanoseconds of Unix time
}

func (c *calls) sinceRead() time.Duration { return time.Since(time.Unix(0, c.read.Load())) }

// A watched listener notes the system calls of its connections.
type watched struct {
	net.Listener
	calls *calls
}

func watchedListener(b *testing.B) watched {
	l, err := Listen("unix:"+filepath.Join(b.TempDir(), "lmtp.sock"), 0o600)
	require.NoError(b, err, "the socket can be made")
	return watched{l, new(calls)}
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return watchedConn{c, l.calls}, err
}

type watchedConn struct {
	net.Conn
	calls *calls
}

func (c watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.calls.count.Add(1)
	c.calls.read.Store(time.Now().UnixNano())
	return n, err
}

func (c watchedConn) Write(p []byte) (int, error) {
	c.calls.count.Add(1)
	return c.Conn.Write(p)
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *stopwatch) Announce(wire.Address, feed.Params) {}
func (s *stopwatch) Withdraw(wire.Address, feed.Params) {}

// BenchmarkRecipients is a list handed over in one transaction with what its recipients ask for, read by us and by go-smtp; CPU time is of
// the whole process, with a host that costs next to nothing.
func BenchmarkRecipients(b *testing.B) {
	for _, a := range asks {
		for _, begins := range []string{"RCPT TO:<", "RCPT  TO:<"} { // go-smtp takes the second
			b.Run(a.name+"/"+begins, func(b *testing.B) {
				const recipients = 100_000
				b.ReportAllocs()
				cpu := cpuTime()
				for b.Loop() {
					c := newCrowd(b, recipients, 10000)
					c.check = func(int, []byte) {}
					c.begins, c.parameters, c.config.DSN = begins, a.parameters, a.parameters != nil
					m := newMailer()
					m.onSend = deliverAll
					c.serve(b, m)
				}
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N*recipients), "cpu-ns/recipient")
			})
		}
	}
}
