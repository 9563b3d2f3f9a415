package ledger

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A world is a Ledger on a real file, with all that it told.
type world struct {
	t *testing.T
	*Ledger
	c Config

	mu    sync.Mutex
	found [][]feed.Delivery
	log   strings.Builder
}

// Write is the log's.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) founds() [][]feed.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.found
}

// somewhere is a path that does not exist in a directory that does.
func somewhere(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger.db") }

// open starts a Ledger that tries again at once and forgets without delay, and closes it with the test.
func open(t *testing.T, c Config) *world {
	t.Helper()
	w := &world{t: t}
	c.Log = slog.New(slog.NewTextHandler(w, nil))
	c.Found = func(ds []feed.Delivery) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.found = append(w.found, ds)
	}
	if c.first == 0 {
		c.first, c.last = time.Nanosecond, time.Nanosecond
	}
	c.lazy = time.Nanosecond
	w.c = c
	w.Ledger = Open(c)
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

// keep waits until an entry was taken care of.
func (w *world) keep(e feed.Entry) {
	w.t.Helper()
	done := make(chan struct{})
	w.Keep(e, func() { close(done) })
	<-done
}

func (w *world) deliver(ds ...feed.Delivery) { w.t.Helper(); w.keep(feed.Entry{Delivered: ds}) }

func (w *world) forget(ms ...feed.MessageID) { w.t.Helper(); w.keep(feed.Entry{Forgotten: ms}) }

func (w *world) shut() {
	w.t.Helper()
	require.NoError(w.t, w.Close(context.Background()), "an orderly close ends")
}

// until keeps nothing again and again, which makes the keeper try the file, until the Ledger is as it should be.
func (w *world) until(what func(Stats) bool) Stats {
	w.t.Helper()
	for {
		w.keep(feed.Entry{})
		if s := w.Stats(); what(s) {
			return s
		}
	}
}

func isOpen(s Stats) bool { return s.Open }

// message is the nth message's name.
func message(n int) (id feed.MessageID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	id[0] = byte(n * 151) // messages do not come in the order of their names
	return id
}

// delivery is one of the nth message to a number of recipients.
func delivery(n, recipients int) feed.Delivery {
	d := feed.Delivery{
		Message: message(n),
		At:      time.Unix(0, time.Now().UnixNano()),
		Status:  wire.Enhanced{Class: 2, Subject: 1, Detail: 5},
		Reply:   wire.Reply{Code: 250, Enhanced: wire.Enhanced{Class: 2}, Text: "Ok: queued as 4XyZ1234"},
		MX:      "mx1.example.org",
		Addr:    netip.MustParseAddrPort("192.0.2.1:25"),
	}
	for i := range recipients {
		var id feed.RecipientID
		binary.BigEndian.PutUint64(id[:], uint64(n))
		binary.BigEndian.PutUint64(id[8:], uint64(i))
		d.Recipients = append(d.Recipients, id)
	}
	return d
}

// messages are the names of what was found, in order.
func messages(founds ...[]feed.Delivery) []feed.MessageID {
	ids := []feed.MessageID{}
	for _, ds := range founds {
		for _, d := range ds {
			ids = append(ids, d.Message)
		}
	}
	return ids
}

func TestWhatIsKeptIsFoundAgain(t *testing.T) {
	for name, sync := range map[string]Sync{"process": Process, "power": Power} {
		t.Run(name, func(t *testing.T) {
			path := somewhere(t)
			w := open(t, Config{Path: path, Sync: sync})
			assert.Empty(t, w.founds(), "nothing is found in a file that does not exist")
			one, two, three := delivery(1, 1), delivery(2, 100), delivery(1, 3)
			w.deliver(one, two)
			w.deliver(three)
			w.shut()

			w = open(t, Config{Path: path, Sync: sync})
			require.Len(t, w.founds(), 1, "what is there is told once, before Open returns")
			assert.Equal(t, []feed.Delivery{one, two, three}, w.founds()[0], "every delivery is found as it was kept, in order")
			s := w.Stats()
			assert.Equal(t, []int{2, 104}, []int{s.Messages, s.Recipients}, "the gauges count what is on disk")
			assert.True(t, s.Open, "the file is in use")
			assert.Empty(t, w.logged(), "nothing is told when all is well")
		})
	}
}

func TestWhatIsForgottenIsNotFound(t *testing.T) {
	path := somewhere(t)
	w := open(t, Config{Path: path})
	for i := range 300 {
		w.deliver(delivery(i, 1+i%3))
	}
	w.deliver(delivery(7, 2))
	for i := range 300 {
		if i != 9 {
			w.forget(message(i))
		}
	}
	s := w.Stats()
	assert.Equal(t, []int{1, 1}, []int{s.Messages, s.Recipients}, "one message is left")
	w.shut()
	w = open(t, Config{Path: path})
	assert.Equal(t, []feed.MessageID{message(9)}, messages(w.founds()...), "what was forgotten is gone, with all of its deliveries")
}

func TestDeliveryAfterForgettingIsKept(t *testing.T) {
	path := somewhere(t)
	w := open(t, Config{Path: path})
	w.deliver(delivery(1, 1))
	w.keep(feed.Entry{Forgotten: []feed.MessageID{message(1)}})
	again := delivery(1, 2)
	w.deliver(again)
	w.shut()
	w = open(t, Config{Path: path})
	assert.Equal(t, [][]feed.Delivery{{again}}, w.founds(), "forgetting holds for what came before it")
}

func TestOldDeliveriesAreDeleted(t *testing.T) {
	path := somewhere(t)
	now := time.Now()
	w := open(t, Config{Path: path})
	old, young := delivery(1, 1), delivery(2, 1)
	old.At, young.At = now.Add(-3*time.Hour), now.Add(-time.Hour)
	w.deliver(old, young)
	w.shut()
	w = open(t, Config{Path: path, Keep: 2 * time.Hour})
	assert.Equal(t, []feed.MessageID{message(2)}, messages(w.founds()...), "what is older than Keep is not handed over")
	w.shut()
	w = open(t, Config{Path: path})
	assert.Equal(t, []feed.MessageID{message(2)}, messages(w.founds()...), "and was deleted")
}

func TestTimeInTheFutureCountsAsNow(t *testing.T) {
	path := somewhere(t)
	ahead := delivery(1, 1)
	ahead.At = ahead.At.Add(1000 * time.Hour)
	w := open(t, Config{Path: path})
	w.deliver(ahead)
	w.shut()

	then := time.Unix(0, time.Now().UnixNano())
	w = open(t, Config{Path: path, now: func() time.Time { return then }})
	require.Len(t, w.founds(), 1, "it is found")
	assert.Equal(t, then, w.founds()[0][0].At, "its time is now")
	w.shut()

	later := then.Add(121 * time.Hour)
	w = open(t, Config{Path: path, now: func() time.Time { return later }})
	assert.Empty(t, w.founds(), "and on disk too, so that it ages")
}

func TestClosedLedgerTellsAtOnce(t *testing.T) {
	w := open(t, Config{Path: somewhere(t)})
	w.shut()
	w.deliver(delivery(1, 2))
	assert.Equal(t, 2, w.Stats().Dropped, "what comes after Close is dropped and counted")
	w.shut()
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	path := somewhere(t)
	w := open(t, Config{Path: path})
	for i := range 100 {
		w.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(i, 1)}}, nil)
	}
	w.shut()
	w = open(t, Config{Path: path})
	assert.Len(t, messages(w.founds()...), 100, "what was kept before Close is there")
}

func TestForgettingWaitsForCompany(t *testing.T) {
	c := Config{Path: somewhere(t), lazy: time.Hour}
	l := Open(c)
	defer l.Close(context.Background())
	done := make(chan struct{})
	l.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(1, 1)}}, nil)
	l.Keep(feed.Entry{Forgotten: []feed.MessageID{message(1)}}, nil)
	l.Keep(feed.Entry{Forgotten: []feed.MessageID{message(2)}}, nil)
	l.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(3, 1)}}, func() { close(done) })
	<-done
	assert.Equal(t, 1, l.Stats().Messages, "it rides along with the next delivery")
	assert.Zero(t, l.Stats().Queued, "nothing is left behind")
}

func TestStats(t *testing.T) {
	w := open(t, Config{Path: somewhere(t)})
	none := w.Stats()
	w.keep(feed.Entry{Delivered: []feed.Delivery{delivery(1, 3)}, Forgotten: []feed.MessageID{message(1)}})
	s := w.Stats()
	assert.Equal(t, none.Commits, s.Commits, "what is forgotten before its commit never touches the disk")
	w.forget(message(1))
	assert.Equal(t, none.Commits, w.Stats().Commits, "nor does forgetting what is not there")
	w.deliver(delivery(2, 3), delivery(3, 4))
	w.forget(message(2))
	s = w.Stats()
	assert.Greater(t, s.Bytes, int64(4096), "the file has a size")
	s.Bytes = 0
	want := Stats{Open: true, Messages: 1, Recipients: 4, Commits: 2, Kept: 7, Forgotten: 3}
	assert.Equal(t, want, s, "everything else is counted")
}

func TestDonesAreCalledInOrder(t *testing.T) {
	w := open(t, Config{Path: somewhere(t)})
	var order []int
	for i := range 1000 {
		w.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(i, 1)}}, func() { order = append(order, i) })
	}
	w.shut()
	require.Len(t, order, 1000, "each is called once")
	assert.IsIncreasing(t, order, "in the order of the calls")
}

func TestManyKeepAtOnce(t *testing.T) {
	const callers, each = 50, 40
	path := somewhere(t)
	w := open(t, Config{Path: path})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				n := c*each + i
				w.deliver(delivery(n, 2))
				if i%2 == 0 {
					w.forget(message(n))
				}
				_ = w.Stats()
			}
		})
	}
	wg.Wait()
	s := w.Stats()
	assert.Equal(t, callers*each, s.Recipients, "half of the messages are left, of two recipients each")
	assert.Equal(t, []int{0, 0, 0}, []int{s.Queued, s.Dropped, s.Failures}, "nothing waits, and nothing was lost")
	w.shut()
	w = open(t, Config{Path: path})
	assert.Len(t, messages(w.founds()...), callers*each/2, "and they are on disk")
}
