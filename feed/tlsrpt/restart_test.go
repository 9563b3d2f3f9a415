package tlsrpt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCountsSurviveTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		for range 5 {
			w.observe(good("a.example"))
			pass(time.Hour)
			w.restart()
			assert.Equal(t, 1, w.Stats().Domains, "the domain is still counted")
		}
		w.observe(good("a.example"))
		pass(28 * time.Hour)
		require.Len(t, w.mailed(), 1, "the day is reported once")
		assert.Equal(t, uint64(6), decode(t, parseMail(t, w.mailed()[0]).report).Policies[0].Summary.Successes, "with what all processes counted")
		w.shut()
	})
}

func TestDayThatEndedMeanwhileIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		down time.Duration
		want int
	}{
		"over night":        {30 * time.Hour, 1},
		"for days":          {6 * 24 * time.Hour, 1},
		"for too many days": {9 * 24 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.open(w.config())
				w.wants("a.example", wanted("tls@a.example"))
				w.observe(good("a.example"))
				w.shut()
				pass(c.down)
				w.open(w.config())
				pass(time.Minute)
				assert.Len(t, w.mailed(), c.want, "a process that was down reports at its start, unless that is no news")
				w.restart()
				pass(anyDelay)
				assert.Len(t, w.mailed(), c.want, "and only once")
				w.shut()
			})
		})
	}
}

func TestRestartKeepsTheHourOfReports(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		w.observe(good("a.example"))
		pass(24 * time.Hour)
		var due time.Time
		for range 20 {
			w.restart()
			text, err := os.ReadFile(filepath.Join(w.dir, stateName))
			require.NoError(t, err, "the counts are there")
			days, err := readState(strings.NewReader(string(text)), someBounds())
			require.NoError(t, err, "and can be read")
			if due.IsZero() {
				due = days[0].due
			}
			assert.Equal(t, due, days[0].due, "the time is not drawn again")
		}
		pass(time.Until(due) - time.Second)
		assert.Empty(t, w.mailed(), "nothing leaves before")
		pass(2 * time.Second)
		assert.Len(t, w.mailed(), 1, "all leaves then")
		w.shut()
	})
}

// A report that is written, and mailed to one of two addresses, goes on after a restart with the other one, under the same name.
func TestHalfAReportIsFinished(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Mail = func(ctx context.Context, m Mail) error {
			if m.To == "y@a.example" {
				return errors.New("not now")
			}
			return w.send(ctx, m)
		}
		w.open(c)
		w.wants("a.example", wanted("x@a.example,mailto:y@a.example"))
		w.observe(good("a.example"))
		pass(28 * time.Hour)
		before := w.reports()
		w.restart()
		pass(time.Hour)
		mails := w.mailed()
		require.Len(t, mails, 2, "each address got one mail")
		assert.Equal(t, []string{"x@a.example", "y@a.example"}, []string{mails[0].To, mails[1].To}, "one by each process")
		assert.Equal(t, before, w.reports(), "and there is one file")
		first, second := parseMail(t, mails[0]), parseMail(t, mails[1])
		assert.Equal(t, first.Get("Subject"), second.Get("Subject"), "they have one Report-ID")
		assert.Equal(t, string(first.report), string(second.report), "and one content")
		w.shut()
	})
}

// A copy of the directory stands for what kill -9 leaves.
func TestKilledProcessLosesMinutes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		w.observe(good("a.example"), good("a.example"))
		pass(saveEvery)
		w.observe(good("a.example"))
		copied := t.TempDir()
		require.NoError(t, os.CopyFS(copied, os.DirFS(w.dir)), "this is what is there now")
		require.NoError(t, os.WriteFile(filepath.Join(copied, tempPrefix+"0"), nil, 0o600), "with a file half written")
		w.shut()
		w.dir = copied
		w.open(w.config())
		assert.NoFileExists(t, filepath.Join(copied, tempPrefix+"0"), "which is cleared away")
		pass(29 * time.Hour)
		require.Len(t, w.mailed(), 1, "the day is reported")
		assert.Equal(t, uint64(2), decode(t, parseMail(t, w.mailed()[0]).report).Policies[0].Summary.Successes, "with what was saved")
		w.shut()
	})
}

func TestDamagedStateIsSetAside(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, stateName), []byte("{\"tlsrpt\":1}\n\x1b[2Jrubbish"), 0o600), "it is damaged")
		w.open(w.config())
		assert.Equal(t, 1, strings.Count(w.logged(), "level=WARN"), "it is told once: %s", w.logged())
		assert.FileExists(t, filepath.Join(w.dir, damagedName), "it can be looked at")
		w.observe(good("a.example"))
		w.restart()
		assert.Equal(t, 1, w.Stats().Domains, "and a new one is begun")
		info, err := os.Stat(filepath.Join(w.dir, stateName))
		require.NoError(t, err, "which is there")
		assert.Equal(t, os.FileMode(stateMode), info.Mode(), "for its owner only")
		w.shut()
	})
}

func TestCountsOfAFutureDayAreTodays(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		d := counted(20000, good("a.example"))
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, stateName), written(t, savedDay{day: d}), 0o600), "the clock was wrong")
		w.open(w.config())
		w.wants("a.example", wanted("tls@a.example"))
		pass(29 * time.Hour)
		require.Len(t, w.mailed(), 1, "they are reported")
		assert.Contains(t, w.reports()[0], "!946684800!946771199!", "with the day that the clock shows now")
		w.shut()
	})
}

func TestCloseBreaksOffAReport(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Mail = func(ctx context.Context, _ Mail) error { <-ctx.Done(); return ctx.Err() }
		w.open(c)
		w.wants("a.example", wanted("tls@a.example"))
		w.observe(good("a.example"))
		pass(29 * time.Hour)
		w.restart()
		pass(time.Minute)
		assert.Len(t, w.mailed(), 1, "the next process mails it")
		assert.Zero(t, w.Stats().Failed, "it did not fail")
		w.shut()
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c, hang := w.config(), make(chan struct{})
		c.Mail = func(context.Context, Mail) error { <-hang; return nil }
		w.open(c)
		w.wants("a.example", wanted("tls@a.example"))
		w.observe(good("a.example"))
		pass(29 * time.Hour)
		w.observe(good("b.example"))
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, w.Close(limited), context.DeadlineExceeded, "a Mail that does not heed its context is left alone")
		text, err := os.ReadFile(filepath.Join(w.dir, stateName))
		require.NoError(t, err, "the counts are there")
		assert.Contains(t, string(text), "b.example", "and saved")
		close(hang)
		synctest.Wait()
		w.shut()
	})
}

func TestMailThatHangsIsEnded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.config()
		c.Mail = func(ctx context.Context, _ Mail) error { <-ctx.Done(); return ctx.Err() }
		c.Texts = func(ctx context.Context, name string) ([]string, error) {
			if strings.Contains(name, "b.example") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.texts(ctx, name)
		}
		w.open(c)
		w.wants("a.example", wanted("tls@a.example"))
		w.observe(good("a.example"), good("b.example"))
		pass(24*time.Hour + 4*time.Hour + maxEdition)
		s := w.Stats()
		assert.Equal(t, []uint64{1, 1, 1}, []uint64{s.Failed, s.Unanswered, s.Written}, "both fail in the end")
		assert.Zero(t, w.Stats().Editions, "and the day is over")
		w.shut()
	})
}
