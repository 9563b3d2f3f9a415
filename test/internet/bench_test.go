package internet_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// BenchmarkWorld is what the world allows a simple mailer that knows all hosts: one pipelined session a host, no DNS.
func BenchmarkWorld(b *testing.B) {
	for _, far := range []bool{false, true} {
		c := internet.Config{Domains: 10000, Hosts: 200}
		if far {
			c.RTT, c.Processing = 50*time.Millisecond, 100*time.Millisecond
		}
		b.Run(fmt.Sprintf("10000 recipients, round trip %v", c.RTT), func(b *testing.B) { deliver(b, c, 10000) })
	}
}

func deliver(b *testing.B, c internet.Config, n int) {
	w := start(b, c)
	groups := byHost(c, internet.List(c, n))
	for b.Loop() {
		w.Reset()
		var sessions sync.WaitGroup
		for j, to := range groups {
			sessions.Go(func() {
				m := connect(w, j)
				m.send("list@sender.example", body, to)
				m.say("QUIT\r\n")
				m.expect("221 ")
				m.conn.Close()
			})
		}
		sessions.Wait()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "recipients/s")
	if r := w.Report(); r.Recipients != n || r.Violations > 0 {
		b.Fatalf("%d of %d recipients arrived, %d violations: %v", r.Recipients, n, r.Violations, r.Broken)
	}
}
