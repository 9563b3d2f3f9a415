package tlsrpt

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// list is a list of 10,000 domains, one in twenty of which fails, in batches as the loop has them.
func list() (batches [][]feed.TLSResult) {
	for i := range 10_000 {
		if i%64 == 0 {
			batches = append(batches, nil)
		}
		r := sts(good(fmt.Sprintf("domain-%d.example", i)), "*.example")
		if i%20 == 0 {
			r = bad(r.Domain, "certificate-expired", "expired on 2026-01-01")
		}
		batches[len(batches)-1] = append(batches[len(batches)-1], r)
	}
	return batches
}

// What the loop pays: a copy. The keeper's work is emptied away at once.
func BenchmarkObserve(b *testing.B) {
	r, batches := &Reporter{keeps: true, wake: make(chan struct{}, 1)}, list()
	var spare []feed.TLSResult
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.ObserveTLS(batches[i%len(batches)])
		if len(r.pending) >= 1024 { // a keeper that keeps pace
			spare, _ = r.take(spare)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/result")
}

// What the keeper pays, beside the loop.
func BenchmarkCount(b *testing.B) {
	d, batches := newDay(0, someBounds()), list()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, r := range batches[i%len(batches)] {
			d.add(&r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/result")
}

func BenchmarkSave(b *testing.B) {
	d := newDay(0, someBounds())
	for _, batch := range list() {
		for i := range batch {
			d.add(&batch[i])
		}
	}
	for b.Loop() {
		require.NoError(b, writeState(io.Discard, []savedDay{{day: d, left: copies(d)}}), "it is written")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/domain")
}
