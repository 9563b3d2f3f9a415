package lmtp

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// BenchmarkTransaction is one transaction of 10,000 recipients in 2,000 domains over a loopback socket, with a Mailer that
// settles everything at once. The host's own cost, which is little, is part of the CPU time.
func BenchmarkTransaction(b *testing.B) {
	const recipients = 10000
	var held runtime.MemStats
	m := newMailer()
	m.onSend = func(e *feed.Envelope) {
		if held.HeapAlloc == 0 {
			runtime.GC()
			runtime.ReadMemStats(&held)
		}
		deliverAll(e)
	}
	theirs, ours := pair(b)
	require.NoError(b, theirs.SetDeadline(time.Time{}), "the deadline can be taken off")
	done := make(chan error, 1)
	go func() { done <- New(Config{Mailer: m}).ServeConn(ours) }()
	h := newHost(b, theirs).hello()
	before := baseline()
	var batch strings.Builder
	batch.WriteString("MAIL FROM:<sender@example.org>\r\n")
	for i := range recipients {
		fmt.Fprintf(&batch, "RCPT TO:<user%d@domain%d.example>\r\n", i, i%2000)
	}
	batch.WriteString("DATA\r\n")
	h.transaction(batch.String(), recipients)
	b.ReportAllocs()
	cpu := cpuTime()
	for b.Loop() {
		h.transaction(batch.String(), recipients)
	}
	b.ReportMetric(float64(b.N*recipients)/b.Elapsed().Seconds(), "recipients/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(held.HeapAlloc-before)/recipients, "B/recipient")
	theirs.Close()
	<-done
}

// transaction sends a batch and a content, and skips the replies.
func (h *host) transaction(batch string, recipients int) {
	go io.WriteString(h.conn, batch)
	h.skip(recipients + 2)
	h.content("text")
	h.skip(recipients)
}

func (h *host) skip(lines int) {
	for range lines {
		for {
			_, err := h.in.ReadSlice('\n')
			if err == nil {
				break
			}
			require.ErrorIs(h.t, err, bufio.ErrBufferFull, "replies come")
		}
	}
}

func baseline() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
