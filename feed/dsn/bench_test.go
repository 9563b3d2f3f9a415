package dsn

import "testing"

func BenchmarkRelayed(b *testing.B) {
	n := notice(b)
	for range 9_999 {
		n.Recipients = append(n.Recipients, n.Recipients[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		Relayed(n)
	}
	b.ReportMetric(float64(len(n.Recipients)*b.N)/b.Elapsed().Seconds(), "recipients/s")
}
