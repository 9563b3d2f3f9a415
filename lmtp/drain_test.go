package lmtp

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// drain runs Drain; the channel is closed when it has returned.
func drain(ctx context.Context, s *Server) <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); s.Drain(ctx) }()
	return done
}

// HST-14.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		idle, busy, early, halfway := connect().hello(), connect().hello(), connect().hello(), connect().hello()
		idle.send("MAIL FROM:<>", "RSET")
		idle.expect("250 ", "250 ")
		busy.envelope("a@x.example", "b@x.example")
		busy.content("text")
		e := f.envelope()
		halfway.send("MAIL FROM:<>", "RCPT TO:<c@x.example>")
		halfway.expect("250 ", "250 ")

		done := drain(t.Context(), f.server)
		synctest.Wait()
		idle.expect("421 4.3.2 ")
		idle.closed()

		early.send("MAIL FROM:<>")
		early.expect("451 4.3.2 ", "421 4.3.2 ")
		early.closed()

		late := connect().hello()
		late.send("MAIL FROM:<>", "RCPT TO:<a@x.example>", "DATA", "QUIT")
		late.expect("451 4.3.2 ", "503 ", "503 ", "221 ")
		late.closed()

		settle(e, delivered("250 2.0.0 was in flight"), 0)
		settle(e, deferred("451 4.3.2 shutting down"), 1)
		busy.expect("250 2.0.0 ", "451 4.3.2 ", "421 4.3.2 ")
		busy.closed()

		silent := connect().hello() // and never sends MAIL
		halfway.send("DATA", "text", ".")
		halfway.expect("354 ")
		settle(f.envelope(), deferred("451 4.3.2 shutting down"), 0)
		halfway.expect("451 4.3.2 ", "421 4.3.2 ")
		halfway.closed()
		silent.expect("421 4.3.2 ")
		silent.closed()
		<-done
		assert.Zero(t, f.server.Stats().Connections, "no connection is left")
	})
}

func TestDrainWithNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		<-drain(t.Context(), f.server)
		h.expect("421 4.3.2 ")
		h.closed()
		f.server.Drain(t.Context()) // again is harmless
		theirs, ours := net.Pipe()
		defer theirs.Close()
		assert.Error(t, f.server.ServeConn(ours), "a connection that comes later is refused")
	})
}

// A host that has just connected must hear 451 at MAIL, also when nothing else is left to wait for: to Postfix a connection that
// ends before is a destination that does not work.
func TestDrainHearsOutWhoHasJustConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		done := drain(t.Context(), f.server)
		time.Sleep(time.Second)
		h.send("MAIL FROM:<>")
		h.expect("451 4.3.2 ", "421 4.3.2 ")
		h.closed()
		<-done
	})
}

// A host that was refused at MAIL goes on sending what it had written behind it, in its own time. All of that is answered.
func TestDrainAnswersAGroupThatIsStillComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		done := drain(t.Context(), f.server)
		synctest.Wait()
		h.send("MAIL FROM:<>")
		h.expect("451 4.3.2 ")
		for range 20 {
			time.Sleep(quietGrace / 2)
			h.send("RCPT TO:<a@x.example>")
			h.expect("503 ")
		}
		h.send("QUIT")
		h.expect("221 ")
		h.closed()
		<-done
	})
}

// A host that falls silent in the middle of a transaction does not hold up the end.
func TestDrainDoesNotWaitForASilentHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		h.send("MAIL FROM:<>", "RCPT TO:<c@x.example>")
		h.expect("250 ", "250 ")
		began := time.Now()
		done := drain(t.Context(), f.server)
		h.expect("421 4.3.2 ")
		h.closed()
		<-done
		assert.Equal(t, openGrace, time.Since(began), "after a moment it is left")
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		busy := connect().hello()
		busy.envelope("a@x.example")
		busy.content("text")
		e := f.envelope()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		<-drain(ctx, f.server)
		assert.Equal(t, time.Minute, time.Since(began), "Drain waits as long as it may")
		busy.closed()
		assert.Same(t, e, <-f.mailer.cancelled, "what was not settled is cancelled")
		assert.Zero(t, f.server.Stats().Connections, "no connection is left")
		settle(e, delivered("250 2.0.0 late"), 0) // harms nobody
	})
}

// A pipelined batch is answered whole before the connection ends.
func TestDrainAnswersWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, connect := simulated(t, Config{})
		h := connect().hello()
		h.envelope("a@x.example")
		h.send("text", ".", "MAIL FROM:<>", "RCPT TO:<b@x.example>", "NOOP")
		e := f.envelope()
		done := drain(t.Context(), f.server)
		synctest.Wait()
		deliverAll(e)
		h.expect("250 2.0.0 ", "451 4.3.2 ", "503 ", "250 ", "421 4.3.2 ")
		h.closed()
		<-done
	})
}

func TestDrainWhoseContextIsDone(t *testing.T) {
	f := newFixture(t, Config{})
	f.connect().expect("220 ") // so Serve is running
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.server.Drain(ctx)
	_, err := net.Dial("unix", f.listen)
	assert.Error(t, err, "the listener is closed all the same")
}

// What Record or the Mailer does with a goroutine of ours must not keep the process from ending.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f, connect := simulated(t, Config{Record: func([]Record) { <-release }})
		f.mailer.onSend = deliverAll
		h := connect().hello()
		h.envelope("a@x.example")
		h.content("text")
		synctest.Wait()
		began := time.Now()
		f.server.Close()
		assert.Equal(t, stopGrace, time.Since(began), "Close waits a little")
		close(release)
	})
}

// Hosts that talk, leave and come while the server drains: afterwards nothing is left, and every recipient handed over was
// recorded once.
func TestDrainInTheMiddleOfEverything(t *testing.T) {
	var recorded atomic.Int64
	f := newFixture(t, Config{Record: func(b []Record) { recorded.Add(int64(len(b))) }})
	var sent, answered atomic.Int64
	f.mailer.cancelled = make(chan *feed.Envelope, 10000)
	f.mailer.onSend = func(e *feed.Envelope) {
		sent.Add(int64(len(e.Recipients)))
		go func() {
			for i := range e.Recipients {
				settle(e, delivered("250 2.0.0 Ok"), i)
			}
		}()
	}
	var hosts sync.WaitGroup
	for i := range 16 {
		c, err := net.Dial("unix", f.listen)
		require.NoError(t, err, "the host can connect")
		hosts.Go(func() { answered.Add(chatter(c, i)) })
	}
	for f.server.Stats().Envelopes < 50 {
		runtime.Gosched()
	}
	f.server.Drain(t.Context())
	hosts.Wait()
	assert.Equal(t, sent.Load(), recorded.Load(), "every recipient handed over is recorded once")
	assert.LessOrEqual(t, answered.Load(), sent.Load(), "no recipient is answered that was not delivered")
	st := f.server.Stats()
	assert.Zero(t, int64(st.Connections+st.Transactions+st.Bodies+st.Waiting)+st.Bytes, "nothing is left")
	assert.Zero(t, st.Panics+st.Overdue, "nothing went wrong")
}

// chatter is a host that pipelines transactions until its connection ends; every fourth one leaves early. It returns how many
// recipients it saw delivered.
func chatter(c net.Conn, i int) (deliveries int64) {
	defer c.Close()
	go func() {
		io.WriteString(c, "LHLO x\r\n")
		for n := 0; i%4 != 0 || n < 5; n++ {
			_, err := io.WriteString(c, "MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\ntext\r\n.\r\n")
			if err != nil {
				return
			}
		}
		c.Close()
	}()
	in := bufio.NewScanner(c)
	for in.Scan() {
		if strings.Contains(in.Text(), "said: 250 2.0.0 Ok") {
			deliveries++
		}
	}
	return deliveries
}
