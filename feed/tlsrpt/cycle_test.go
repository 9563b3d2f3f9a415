package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

func decode(t *testing.T, text []byte) report {
	require.NoError(t, validate(text), "the report is valid: %s", text)
	var r report
	require.NoError(t, json.Unmarshal(text, &r), "it is read back")
	return r
}

func TestDayIsReported(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		w.wants("b.example", "v=spf1 -all")
		tried := sts(bad("a.example", "certificate-expired", "not after 1999-12-31"), "*.a.example")
		ok := sts(good("a.example"), "*.a.example")
		w.observe(ok, tried, good("b.example"), good("c.example"), good("[192.0.2.1]"))
		w.observe(tried, tlsa(bad("a.example", "certificate-revoked", "<revoked> & gone"), "3 1 1 AB"), bad("a.example", "starttls-not-supported", ""))
		assert.Equal(t, 3, w.Stats().Domains, "domains are counted, literals are not")
		pass(24*time.Hour - time.Second)
		assert.Empty(t, w.reports(), "nothing is reported before the day has ended")
		pass(5 * time.Hour)
		names := w.reports()
		require.Len(t, names, 1, "who has a record gets a report, who has none does not")
		assert.Regexp(t, `^mx\.sender\.test!a\.example!946684800!946771199![0-9a-f]{12}\.json$`, names[0], "named by RFC 8460 section 5.1")
		info, err := os.Stat(filepath.Join(w.dir, names[0]))
		require.NoError(t, err, "the file is there")
		assert.Equal(t, os.FileMode(reportMode), info.Mode(), "and read by the operator's group")

		r := decode(t, w.read(names[0]))
		assert.Equal(t, "Example & Söhne <GmbH>", r.Organization, "the organization has its name")
		assert.Equal(t, []string{"2000-01-01T00:00:00Z", "2000-01-01T23:59:59Z"},
			[]string{r.Range.Start.Format(time.RFC3339), r.Range.End.Format(time.RFC3339)}, "the report is for the whole day")
		require.Len(t, r.Policies, 3, "each policy is told")
		p := r.Policies[0]
		assert.Equal(t, policyText{feed.PolicySTS, ok.Strings, "a.example", []string{"*.a.example"}}, p.Policy, "in the domain's words")
		assert.Equal(t, summary{1, 2}, p.Summary, "with its totals")
		detail := failureDetail{"certificate-expired", "192.0.2.1", "mx.a.example", "203.0.113.5", 2, "not after 1999-12-31"}
		assert.Equal(t, []failureDetail{detail}, p.Details, "and its failures")
		assert.Equal(t, "validation-failure", r.Policies[1].Details[0].Result, "what the RFC does not know is a validation-failure")
		assert.Equal(t, "<revoked> & gone", r.Policies[1].Details[0].Reason, "with its reason")
		assert.Equal(t, feed.PolicyNone, r.Policies[2].Policy.Type, "no policy is one too")

		s := w.Stats()
		assert.Equal(t, []uint64{1, 1, 2, 1, 0}, []uint64{s.Written, s.Mailed, s.Unasked, s.Unnamed, s.Failed}, "it is counted")
		assert.Equal(t, []uint64{4, 2, 1, 1, 0}, []uint64{s.Results["success"], s.Results["certificate-expired"], s.Results["validation-failure"],
			s.Results["starttls-not-supported"], s.Results["dane-required"]}, "and the totals stay")
		assert.Equal(t, []int{0, 0}, []int{s.Domains, s.Editions}, "the new day begins with nothing")
		w.shut()
	})
}

// Several days pass, some with nothing to tell; each report has its own day, and old ones go.
func TestDaysGoOn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Keep = 3 * 24 * time.Hour
		w.open(c)
		w.wants("a.example", wanted("tls@a.example"))
		for day := range 6 {
			time.Sleep(12 * time.Hour)
			if day != 2 {
				w.observe(slices.Repeat([]feed.TLSResult{good("a.example")}, day+1)...)
			}
			pass(12 * time.Hour)
		}
		pass(5 * time.Hour)
		var counts []uint64
		for _, m := range w.mailed() {
			counts = append(counts, decode(t, parseMail(t, m).report).Policies[0].Summary.Successes)
		}
		assert.Equal(t, []uint64{1, 2, 4, 5, 6}, counts, "each day is reported once, a quiet one not at all")
		assert.Len(t, w.reports(), 3, "reports older than Keep are removed")
		w.shut()
	})
}

func TestReportsAreSpreadOverTheDelay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Delay = time.Hour
		w.open(c)
		w.wants("a.example", wanted("tls@a.example"))
		for range 12 {
			w.observe(good("a.example"))
			pass(24 * time.Hour)
		}
		w.observe()
		var delays []time.Duration
		for _, at := range w.tries() {
			delays = append(delays, at.Sub(at.Truncate(24*time.Hour)))
		}
		assert.Len(t, delays, 11, "each ended day was reported, but for the last")
		assert.Less(t, slices.Max(delays), time.Hour+time.Second, "within the delay")
		slices.Sort(delays)
		assert.Len(t, slices.Compact(delays), 11, "at a time that is drawn for each day")
		w.shut()
	})
}

func TestLookupsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		for i := range 500 {
			w.ObserveTLS([]feed.TLSResult{good(fmt.Sprintf("d%d.example", i))})
		}
		pass(29 * time.Hour)
		w.mu.Lock()
		assert.Len(t, w.asked, 500, "every domain is asked once")
		assert.Equal(t, concurrency, w.most, "no more than that at once")
		w.mu.Unlock()
		w.shut()
	})
}

func TestFailedMailIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", "v=TLSRPTv1;rua=mailto:x@a.example,https://a.example/tls,mailto:y@a.example")
		w.fail(nil, errors.New("454 4.7.0 not\r\nnow"))
		w.observe(good("a.example"))
		pass(24*time.Hour + 4*time.Hour)
		require.Len(t, w.reports(), 1, "the report is written also when it cannot be mailed")
		before := w.Stats()
		assert.Equal(t, []uint64{1, 0, 1}, []uint64{before.Written, before.Mailed, before.HTTPS}, "https addresses are skipped and counted")
		assert.NotZero(t, before.Retried, "a failure is tried again")
		w.fail(nil, nil)
		pass(12 * time.Hour)
		assert.Len(t, w.mailed(), 2, "until it is taken, for each address")
		pass(48 * time.Hour)
		assert.Len(t, w.mailed(), 2, "and then no more")
		assert.Equal(t, []uint64{1, 2, 0}, []uint64{w.Stats().Written, w.Stats().Mailed, w.Stats().Failed}, "it did not fail in the end")
		assert.Zero(t, w.Stats().Editions, "the day is over")
		w.shut()
	})
}

func TestWhatFailsAllDayIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		dns, mail                   error
		written, failed, unanswered uint64
	}{
		"mail is refused":     {nil, errors.New("554 5.7.1 no \x1b[2J mail"), 1, 1, 0},
		"the DNS is down":     {errors.New("no answer"), nil, 0, 0, 1},
		"neither of them can": {errors.New("no answer"), errors.New("no"), 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.open(w.config())
				w.wants("a.example", wanted("tls@a.example"))
				w.fail(c.dns, c.mail)
				w.observe(good("a.example"))
				pass(24*time.Hour + 15*time.Hour)
				s := w.Stats()
				want := []uint64{c.written, 0, c.failed, c.unanswered, maxRetries}
				assert.Equal(t, want, []uint64{s.Written, s.Mailed, s.Failed, s.Unanswered, s.Retried}, "it counts as failed")
				assert.Zero(t, s.Editions, "and is forgotten")
				assert.Equal(t, int(c.failed), strings.Count(w.logged(), "level=WARN"), "who can act is told once: %s", w.logged())
				assert.NotContains(t, w.logged(), "\\x1b", "in clean words")
				w.fail(nil, nil)
				pass(48 * time.Hour)
				assert.Empty(t, w.mailed(), "it does not come later")
				w.shut()
			})
		})
	}
}

func TestRetriesBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		w.fail(nil, errors.New("not now"))
		w.observe(good("a.example"))
		pass(24*time.Hour + 15*time.Hour)
		var gaps []time.Duration
		at := w.tries()
		for i := 1; i < len(at); i++ {
			gaps = append(gaps, at[i].Sub(at[i-1]))
		}
		minutes := []time.Duration{5 * time.Minute, 15 * time.Minute, 45 * time.Minute, 135 * time.Minute, 405 * time.Minute}
		assert.Equal(t, minutes, gaps, "each wait is three times the last")
		w.shut()
	})
}

func TestNobodyIsAskedForNoMail(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Mail = nil
		w.open(c)
		w.wants("a.example", wanted("tls@a.example"))
		w.wants("b.example", "v=TLSRPTv1; rua=https://b.example/")
		w.observe(good("a.example"), good("b.example"))
		pass(29 * time.Hour)
		assert.Len(t, w.reports(), 2, "reports are written")
		assert.Equal(t, []uint64{2, 0, 0, 1}, []uint64{w.Stats().Written, w.Stats().Mailed, w.Stats().Failed, w.Stats().HTTPS}, "and none is mailed")
		w.shut()
	})
}

func TestClockSetBackKeepsTheCounts(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		k := newKeeper(t.Context(), &Reporter{c: w.config().withDefaults()}, &disk{path: w.dir})
		r := good("a.example")
		k.today.add(&r)
		assert.False(t, k.turn(time.Now().Add(-50*time.Hour)), "a day does not end when the clock goes back")
		assert.Equal(t, "1999-12-29", k.today.date.String(), "what was counted is of the day that it is now")
		assert.Len(t, k.today.domains, 1, "and is not lost")
		synctest.Wait()
	})
}

func TestNoSuchNameIsNoRecord(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.fail(&net.DNSError{Err: "no such host", IsNotFound: true}, nil)
		long := strings.Repeat("a23456789.", 25) + "abc"
		w.observe(good("a.example"), good(long))
		pass(29 * time.Hour)
		s := w.Stats()
		assert.Equal(t, []uint64{2, 0, 0}, []uint64{s.Unasked, s.Unanswered, s.Retried}, "nobody wants a report, and nobody is asked again")
		w.mu.Lock()
		assert.Equal(t, []string{"_smtp._tls.a.example"}, w.asked, "a name that would be too long is not asked for")
		w.mu.Unlock()
		w.shut()
	})
}
