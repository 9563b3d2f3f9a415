package dnssim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestDelayer(t *testing.T) { synctest.Test(t, testDelayer) }
func testDelayer(t *testing.T) {
	start := time.Now()
	type sent struct {
		at    time.Duration
		names []string
	}
	var got []sent
	d := newDelayer(func(parcels []parcel) {
		s := sent{at: time.Since(start)}
		for _, p := range parcels {
			s.names = append(s.names, string(*p.msg))
		}
		got = append(got, s)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go d.run(ctx)
	in := func(after time.Duration, name string) parcel {
		msg := []byte(name)
		return parcel{due: start.Add(after), msg: &msg}
	}
	d.add([]parcel{in(20*time.Millisecond, "late"), in(10*time.Millisecond, "early"), in(10*time.Millisecond-grain/2, "a little earlier")})
	d.add([]parcel{in(20*time.Millisecond, "late too"), in(0, "at once")})
	time.Sleep(time.Second)
	synctest.Wait()
	want := []sent{
		{0, []string{"at once"}},
		{10 * time.Millisecond, []string{"early", "a little earlier"}},
		{20 * time.Millisecond, []string{"late", "late too"}},
	}
	assert.Equal(t, want, got, "parcels should be sent in waves, none before its time or a grain after it")
}
