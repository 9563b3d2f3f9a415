package tlsrpt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// A ledger of what was observed: sessions by day, domain, policy type and whether they went well.
type observed map[string]uint64

func key(day, domain string, kind feed.PolicyType, failed bool) string {
	return fmt.Sprint(day, domain, kind, failed)
}

// random is some result, of few domains so that they meet again.
func random(r *rand.Rand) feed.TLSResult {
	domain := fmt.Sprintf("d%d.example", r.IntN(8))
	result := good(domain)
	if r.IntN(3) == 0 {
		result = bad(domain, resultNames()[1+r.IntN(int(resultTypes)-1)], fmt.Sprint(r.IntN(200)))
	}
	switch r.IntN(3) {
	case 0:
		return sts(result, "*."+domain)
	case 1:
		return tlsa(result, "3 1 1 AB", "3 1 1 CD")
	default:
		return result
	}
}

// reported adds what a mail says, and checks that its details make up its sum.
func (o observed) reported(t *testing.T, m Mail) {
	r := decode(t, parseMail(t, m).report)
	for _, p := range r.Policies {
		assert.Equal(t, m.Domain, p.Policy.Domain, "a report is about its domain only")
		day := r.Range.Start.Format(time.DateOnly)
		o[key(day, m.Domain, p.Policy.Type, false)] += p.Summary.Successes
		o[key(day, m.Domain, p.Policy.Type, true)] += p.Summary.Failures
		var sum uint64
		for _, d := range p.Details {
			sum += d.Sessions
		}
		assert.Equal(t, p.Summary.Failures, sum, "failures are told by their kinds, or folded, but never lost")
	}
}

// Whatever happens in a week (restarts, nights that are slept through, a DNS and a host MTA that fail for hours), each session
// is told exactly once, for the day on which it was.
func TestEverySessionIsToldOnce(t *testing.T) {
	for seed := range uint64(2) {
		bubble(t, func(t *testing.T, w *world) {
			r := rand.New(rand.NewPCG(seed, 8460))
			for i := range 8 {
				w.wants(fmt.Sprintf("d%d.example", i), wanted(fmt.Sprintf("tls@d%d.example", i)))
			}
			w.open(w.config())
			want, got := observed{}, observed{}
			for range 7 * 12 {
				result := random(r)
				for range r.IntN(40) {
					want[key(time.Now().UTC().Format(time.DateOnly), result.Domain, result.Policy, result.Result != "")]++
					w.observe(result)
					result = random(r)
				}
				disturb(r, w)
			}
			w.fail(nil, nil)
			pass(3 * 24 * time.Hour)
			for _, m := range w.mailed() {
				got.reported(t, m)
			}
			for k, n := range got {
				require.Equal(t, want[k], n, "seed %d: sessions of %s", seed, k)
			}
			for k := range want {
				require.Contains(t, got, k, "seed %d: nothing is left out", seed)
			}
			assert.Zero(t, w.Stats().Failed+w.Stats().Unanswered, "nothing was given up")
			w.shut()
		})
	}
}

// disturb lets some two hours pass, in one way or another.
func disturb(r *rand.Rand, w *world) {
	trouble := errors.New("not now")
	switch r.IntN(6) {
	case 0:
		w.restart()
	case 1:
		w.shut()
		pass(time.Duration(r.IntN(5)) * time.Hour)
		w.open(w.config())
	case 2:
		w.fail(trouble, nil)
	case 3:
		w.fail(nil, trouble)
	default:
		w.fail(nil, nil)
	}
	pass(time.Hour + time.Duration(r.IntN(3600))*time.Second)
}
