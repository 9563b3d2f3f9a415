package ledger

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
)

// cpu is what this process has used of it.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure reports CPU and commits of what f does with a Ledger.
func measure(b *testing.B, sync Sync, recipients int, f func(*Ledger)) {
	l := Open(Config{Path: somewhere(b), Sync: sync})
	defer l.Close(context.Background())
	b.ReportAllocs()
	f(l)
	b.StopTimer()
	b.ReportMetric(float64(b.N*recipients)/b.Elapsed().Seconds(), "recipients/s")
}

// keepAll keeps what next makes, as many in flight at once as a busy feeder has, and reports CPU for each.
func keepAll(b *testing.B, l *Ledger, recipients, inFlight int, next func(int) feed.Entry) {
	room := make(chan struct{}, inFlight)
	done := func() { <-room }
	commits, start := l.Stats().Commits, cpu()
	b.ResetTimer()
	for i := range b.N {
		room <- struct{}{}
		l.Keep(next(i), done)
	}
	for range inFlight {
		room <- struct{}{}
	}
	used := cpu() - start
	commits = l.Stats().Commits - commits
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N*recipients), "cpu-us/recipient")
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(max(commits, 1)), "cpu-us/commit")
	b.ReportMetric(float64(b.N)/float64(max(commits, 1)), "entries/commit")
}

// BenchmarkSingle is mail of one recipient: each is kept, and forgotten when 10,000 others have come.
func BenchmarkSingle(b *testing.B) {
	const live = 10_000
	for _, sync := range []Sync{Process, Power} {
		for _, inFlight := range []int{1, 20, 200} {
			b.Run(fmt.Sprintf("sync=%d/in-flight=%d", sync, inFlight), func(b *testing.B) {
				measure(b, sync, 1, func(l *Ledger) {
					for i := range live {
						l.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(i, 1)}}, nil)
					}
					settle(l)
					keepAll(b, l, 1, inFlight, func(i int) feed.Entry {
						return feed.Entry{Delivered: []feed.Delivery{delivery(live+i, 1)}, Forgotten: []feed.MessageID{message(i)}}
					})
				})
			})
		}
	}
}

// BenchmarkList is a list of 100,000 recipients in deliveries of 100, then forgotten as one message.
func BenchmarkList(b *testing.B) {
	const each, of = 100, 1000
	for _, sync := range []Sync{Process, Power} {
		b.Run(fmt.Sprintf("sync=%d", sync), func(b *testing.B) {
			measure(b, sync, each, func(l *Ledger) {
				d := delivery(0, each)
				keepAll(b, l, each, 100, func(i int) feed.Entry {
					d.Message = message(i / of)
					e := feed.Entry{Delivered: []feed.Delivery{d}}
					if i%of == of-1 {
						e.Forgotten = []feed.MessageID{message(i/of - 1)}
					}
					return e
				})
			})
		})
	}
}

// BenchmarkOpen reads a file of 10,000 messages.
func BenchmarkOpen(b *testing.B) {
	path := somewhere(b)
	l := Open(Config{Path: path})
	for i := range 10_000 {
		l.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(i, 1)}}, nil)
	}
	_ = l.Close(context.Background())
	b.ResetTimer()
	for range b.N {
		_ = Open(Config{Path: path}).Close(context.Background())
	}
}

// settle waits until all that was kept is on disk.
func settle(l *Ledger) {
	done := make(chan struct{})
	l.Keep(feed.Entry{}, func() { close(done) })
	<-done
}
