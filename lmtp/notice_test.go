package lmtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A submission takes notices for a test.
type submission struct {
	notices chan Notice // what was submitted
	answers chan error  // what each call returns; nil: all end at once, and well
}

func newSubmission() *submission { return &submission{notices: make(chan Notice, 1000)} }

func (s *submission) notify(n Notice) error {
	s.notices <- n
	if s.answers == nil {
		return nil
	}
	return <-s.answers
}

// told is the recipients of the next notice.
func (s *submission) told(t *testing.T) (to []string) {
	t.Helper()
	time.Sleep(noticeGather)
	synctest.Wait()
	require.NotEmpty(t, s.notices, "a notification is submitted")
	for _, r := range (<-s.notices).Recipients {
		to = append(to, r.To.String())
	}
	return to
}

// notified runs a test in a bubble, with a host whose envelope was handed over; recipients are what follows "RCPT TO:".
func notified(t *testing.T, c Config, recipients []string, test func(t *testing.T, f *fixture, h *host, e *feed.Envelope)) {
	synctest.Test(t, func(t *testing.T) {
		c.DSN = true
		f, connect := simulated(t, c)
		h := connect().hello()
		h.send("MAIL FROM:<s@example.org> RET=HDRS ENVID=id")
		h.expect("250 ")
		for _, r := range recipients {
			h.send("RCPT TO:" + r)
			h.expect("250 ")
		}
		h.send("DATA")
		h.expect("354 ")
		time.Sleep(time.Second)
		h.content("Received: by h id Q1; now", "", "text")
		test(t, f, h, f.envelope())
	})
}

// knowing is an outcome of a host that has taken the duty over.
func knowing(o *feed.Outcome) *feed.Outcome {
	via := *o.Via
	via.DSN = true
	c := *o
	c.Via = &via
	return &c
}

const success = " NOTIFY=SUCCESS"

// RFC 3461 section 5.2.2.
func TestNotice(t *testing.T) {
	s := newSubmission()
	notified(t, Config{Notify: s.notify}, []string{"<a@x.example> ORCPT=rfc822;list@y.example NOTIFY=SUCCESS,DELAY", "<b@x.example>" + success}, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		s.answers = make(chan error, 1)
		o := delivered("250 2.0.0 Ok")
		arrived := time.Now()
		time.Sleep(time.Second)
		settle(e, o, 0, 1)
		synctest.Wait()
		require.Len(t, s.notices, 1, "recipients that are settled together are in one notice")
		from, err := wire.ParseAddress("s@example.org")
		require.NoError(t, err, "it is an address")
		assert.Equal(t, Notice{
			Envelope: e.ID, QueueID: "Q1", From: from, DSN: wire.MailDSN{Ret: "HDRS", EnvID: "id"}, Arrival: arrived, Deadline: arrived.Add(540 * time.Second), Body: e.Body,
			Recipients: []NoticeRecipient{{To: e.Recipients[0], ORCPT: "rfc822;list@y.example", Outcome: o}, {To: e.Recipients[1], Outcome: o}},
		}, <-s.notices, "with all that a notification says")
		assert.Zero(t, f.pending(h), "nothing is told to the host before it is taken")
		s.answers <- nil
		h.expect("250 2.0.0 ", "250 2.0.0 ")
		st := f.server.Stats()
		assert.Equal(t, []uint64{2, 0}, []uint64{st.Notifications, st.NotificationsFailed}, "and each recipient is counted")
	})
}

func TestNoticeUTF8(t *testing.T) {
	f := newFixture(t, Config{DSN: true, Notify: func(n Notice) error {
		assert.True(t, n.UTF8, "what is returned may be above ASCII")
		assert.Equal(t, "ü@x.example", n.Recipients[0].To.String(), "as the recipient is")
		return nil
	}})
	f.mailer.onSend = deliverAll
	h := f.host()
	h.send("MAIL FROM:<s@example.org> SMTPUTF8", "RCPT TO:<ü@x.example>"+success, "DATA", ".")
	h.expect("250 ", "250 ", "354 ", "250 2.0.0 ")
	assert.EqualValues(t, 1, f.server.Stats().Notifications, "it was called")
}

func TestWhoIsNotified(t *testing.T) {
	earlier := *delivered("250 2.0.0 Ok")
	earlier.Earlier = true
	nowhere := &feed.Outcome{Class: feed.Delivered, Status: wire.Enhanced{Class: 2}}
	tests := []struct {
		rule, from, parameters string
		outcome                *feed.Outcome
		calls                  int
	}{
		{"delivered, behind a host that does not know DSN", "s@x.example", success, delivered("250 2.0.0 Ok"), 1},
		{"delivered in an earlier attempt: perhaps the process died before it came to that", "s@x.example", success, &earlier, 1},
		{"delivered, nobody knows where", "s@x.example", success, nowhere, 1},
		{"with other words beside it", "s@x.example", " NOTIFY=FAILURE,SUCCESS", delivered("250 2.0.0 Ok"), 1},
		{"behind a host that took the duty over", "s@x.example", success, knowing(delivered("250 2.0.0 Ok")), 0},
		{"the same in an earlier attempt", "s@x.example", success, knowing(&earlier), 0},
		{"nobody asked", "s@x.example", "", delivered("250 2.0.0 Ok"), 0},
		{"only an original recipient", "s@x.example", " ORCPT=rfc822;b@x.example", delivered("250 2.0.0 Ok"), 0},
		{"NEVER", "s@x.example", " NOTIFY=NEVER", delivered("250 2.0.0 Ok"), 0},
		{"other words", "s@x.example", " NOTIFY=FAILURE,DELAY", delivered("250 2.0.0 Ok"), 0},
		{"deferred: the host MTA notifies of that", "s@x.example", success, deferred("450 4.2.0 later"), 0},
		{"failed: so it does of that", "s@x.example", success, failed("550 5.1.1 no"), 0},
		{"the null reverse-path cannot be notified", "", success, delivered("250 2.0.0 Ok"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := newSubmission()
			f := newFixture(t, Config{DSN: true, Notify: s.notify})
			f.mailer.onSend = func(e *feed.Envelope) { settle(e, tt.outcome, all(e)...) }
			h := f.host()
			h.send("MAIL FROM:<"+tt.from+">", "RCPT TO:<other@x.example>", "RCPT TO:<a@x.example>"+tt.parameters, "DATA", ".")
			reply := lineOf(status(tt.outcome))
			h.expect("250 ", "250 ", "250 ", "354 ", reply, reply)
			assert.Len(t, s.notices, tt.calls, "notifications that are submitted before the reply")
			for range tt.calls {
				assert.Len(t, (<-s.notices).Recipients, 1, "for the one recipient that asked")
			}
		})
	}
}

// Nobody waits for another one's notification, unless the order of replies wants it.
func TestNoticeHoldsUpNobodyElse(t *testing.T) {
	s := newSubmission()
	recipients := []string{"<a@x.example>", "<b@x.example>" + success, "<c@x.example>", "<d@x.example>" + success, "<e@x.example>" + success}
	notified(t, Config{Notify: s.notify}, recipients, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		s.answers = make(chan error, 1)
		o := delivered("250 2.0.0 Ok")
		settle(e, o, 1)
		assert.Equal(t, []string{"b@x.example"}, s.told(t), "the first that is settled is notified of soon")
		settle(e, o, 0)
		h.expect("250 2.0.0 ")
		settle(e, o, 3)
		settle(e, o, 4)
		settle(e, failed("550 5.1.1 no"), 2)
		synctest.Wait()
		assert.Empty(t, s.notices, "one call runs at a time")
		assert.Zero(t, f.server.Stats().Waiting, "and everybody is settled meanwhile")
		s.answers <- nil
		h.expect("250 2.0.0 ", "550 5.1.1 ")
		assert.Equal(t, []string{"d@x.example", "e@x.example"}, s.told(t), "what was settled meanwhile goes together")
		assert.Zero(t, f.pending(h), "and waits for that")
		s.answers <- nil
		h.expect("250 2.0.0 ", "250 2.0.0 ")
	})
}

func TestNoticeIsNotTooLarge(t *testing.T) {
	s := newSubmission()
	f := newFixture(t, Config{DSN: true, Notify: s.notify})
	f.mailer.onSend = deliverAll
	h := f.host()
	const recipients = 2*noticeSize + 500
	var b strings.Builder
	for i := range recipients {
		fmt.Fprintf(&b, "RCPT TO:<u%d@x.example>%s\r\n", i, success)
	}
	h.send("MAIL FROM:<s@example.org>")
	go func() { h.conn.Write([]byte(b.String() + "DATA\r\n.\r\n")) }()
	for range recipients + 1 {
		h.expect("250 ")
	}
	h.expect("354 ")
	for range recipients {
		h.expect("250 2.0.0 ")
	}
	seen := map[string]bool{}
	for _, size := range []int{noticeSize, noticeSize, 500} {
		n := <-s.notices
		require.Len(t, n.Recipients, size, "a notice is full, unless it is the last")
		for _, r := range n.Recipients {
			seen[r.To.String()] = true
		}
	}
	assert.Len(t, seen, recipients, "each recipient is in one of them")
	assert.Empty(t, s.notices, "and there are no more")
}

// The mail is delivered: whatever becomes of the notification, the host MTA must not send it again.
func TestNoticeFails(t *testing.T) {
	tests := []struct {
		rule   string
		notify func(Notice) error
		panics uint64
	}{
		{"it is refused", func(Notice) error { return errors.New("submission: 550\r\nno") }, 0},
		{"there is nobody to send it", nil, 0},
		{"a fault of ours", func(Notice) error { panic("fault") }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			var log bytes.Buffer
			f := newFixture(t, Config{DSN: true, Notify: tt.notify, Log: slog.New(slog.NewTextHandler(&log, nil))})
			f.mailer.onSend = deliverAll
			h := f.host()
			h.send("MAIL FROM:<s@example.org>", "RCPT TO:<a@x.example>"+success, "RCPT TO:<b@x.example>", "DATA", ".", "NOOP")
			h.expect("250 ", "250 ", "250 ", "354 ", "250 2.0.0 mx1.example", "250 2.0.0 mx1.example", "250 ")
			st := f.server.Stats()
			assert.Equal(t, []uint64{0, 1, tt.panics}, []uint64{st.Notifications, st.NotificationsFailed, st.Panics}, "it is counted")
			assert.Zero(t, st.Bytes, "the content is let go")
			f.server.Close()
			assert.Contains(t, log.String(), "level=ERROR", "and an operator hears of it")
			assert.Contains(t, log.String(), "not notified of deliveries", "with what it means")
		})
	}
}

func TestNoticeHangs(t *testing.T) {
	s := newSubmission()
	recipients := []string{"<a@x.example>" + success, "<b@x.example>", "<c@x.example>" + success, "<d@x.example>" + success}
	notified(t, Config{Notify: s.notify}, recipients, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		s.answers = make(chan error, 1)
		o := delivered("250 2.0.0 Ok")
		began := time.Now()
		settle(e, o, 0, 1)
		time.Sleep(time.Second)
		settle(e, o, 2)
		h.expect("250 2.0.0 ", "250 2.0.0 ", "250 2.0.0 ")
		assert.Equal(t, noticeGather+noticePatience, time.Since(began).Round(time.Second), "replies wait so long and no longer")
		settle(e, o, 3)
		h.expect("250 2.0.0 ")
		assert.Equal(t, noticeGather+noticePatience, time.Since(began).Round(time.Second), "and none of those that follow")
		st := f.server.Stats()
		assert.Equal(t, []uint64{0, 3}, []uint64{st.Notifications, st.NotificationsFailed}, "all of them are counted as failed")
		assert.Len(t, s.notices, 1, "what hangs is not called again")
		assert.Positive(t, st.Bytes, "the content is counted for as long as the call may read it")
		s.answers <- nil
		synctest.Wait()
		assert.Zero(t, f.server.Stats().Bytes, "and then let go")
		h.send("NOOP")
		h.expect("250 ")
	})
}

// A submission that fails slowly costs an envelope no more than one that hangs.
func TestNoticesFailSlowly(t *testing.T) {
	slow := func(Notice) error { time.Sleep(30 * time.Second); return errors.New("no answer") }
	recipients := []string{"<a@x.example>" + success, "<b@x.example>" + success, "<c@x.example>" + success}
	notified(t, Config{Notify: slow}, recipients, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		began := time.Now()
		for i := range recipients {
			settle(e, delivered("250 2.0.0 Ok"), i)
			time.Sleep(10 * time.Second)
		}
		h.expect("250 2.0.0 ", "250 2.0.0 ", "250 2.0.0 ")
		assert.Equal(t, noticeGather+noticePatience, time.Since(began).Round(time.Second), "all of them together")
		assert.EqualValues(t, 3, f.server.Stats().NotificationsFailed, "and all of them failed")
		time.Sleep(time.Minute)
	})
}

// Hosts wait for 600 s: what is settled at the end of the budget is told soon after.
func TestNoticesAndTheBudget(t *testing.T) {
	s := newSubmission()
	recipients := []string{"<a@x.example>" + success, "<b@x.example>" + success, "<c@x.example>" + success}
	notified(t, Config{Notify: s.notify}, recipients, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		s.answers = make(chan error, 3)
		began, o := time.Now(), delivered("250 2.0.0 Ok")
		time.Sleep(530 * time.Second)
		settle(e, o, 0)
		time.Sleep(9 * time.Second)
		settle(e, o, 1, 2)
		time.Sleep(30 * time.Second)
		s.answers <- nil // and the next one hangs
		h.expect("250 2.0.0 ", "250 2.0.0 ", "250 2.0.0 ")
		assert.Equal(t, 585*time.Second, time.Since(began).Round(time.Second), "the last reply is below 600 s")
		st := f.server.Stats()
		assert.Equal(t, []uint64{1, 2, 0}, []uint64{st.Notifications, st.NotificationsFailed, st.Overdue}, "nothing else is late")
		s.answers <- nil
	})
}

// The host MTA comes again, is answered from the ledger, and its sender hears twice rather than never.
func TestNoticeThoughTheHostLeft(t *testing.T) {
	s := newSubmission()
	notified(t, Config{Notify: s.notify}, []string{"<a@x.example>" + success}, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		h.conn.Close()
		<-f.mailer.cancelled
		settle(e, delivered("250 2.0.0 Ok"), 0)
		assert.Equal(t, []string{"a@x.example"}, s.told(t), "what was delivered nevertheless is notified of")
		assert.Equal(t, e.ID+" abandoned", <-f.mailer.parted, "and the Mailer knows that nobody heard")
	})
}

func TestDrainWaitsForNotices(t *testing.T) {
	s := newSubmission()
	notified(t, Config{Notify: s.notify}, []string{"<a@x.example>" + success}, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		s.answers = make(chan error, 1)
		settle(e, delivered("250 2.0.0 Ok"), 0)
		drained := make(chan struct{})
		go func() {
			f.server.Drain(context.Background())
			close(drained)
		}()
		time.Sleep(10 * time.Second)
		s.answers <- nil
		h.expect("250 2.0.0 ", "421 ")
		h.conn.Close()
		<-drained
		assert.EqualValues(t, 1, f.server.Stats().Notifications, "what was delivered was notified of")
	})
}

// Close breaks replies off, as ever, and is not kept by what hangs.
func TestCloseLeavesNotices(t *testing.T) {
	s := newSubmission()
	notified(t, Config{Notify: s.notify}, []string{"<a@x.example>" + success}, func(t *testing.T, f *fixture, h *host, e *feed.Envelope) {
		s.answers = make(chan error, 1)
		settle(e, delivered("250 2.0.0 Ok"), 0)
		synctest.Wait()
		began := time.Now()
		f.server.Close()
		assert.Less(t, time.Since(began), stopGrace, "it returns at once")
		rest, _ := io.ReadAll(h.in)
		assert.NotContains(t, string(rest), "451", "whoever still hears anything does not hear that it was not delivered")
		assert.Equal(t, e.ID+" abandoned", <-f.mailer.parted, "the host sends it again")
		s.answers <- nil
		synctest.Wait()
		assert.Zero(t, f.server.Stats().Bytes, "the content is let go in the end")
	})
}

// Envelopes of equal content share a body, also with a notification of one that has ended.
func TestMemoryHold(t *testing.T) {
	m := newMemory(1000)
	c, _ := m.share(body("text\r\n"), 0)
	release := m.hold(c)
	m.release(c)
	again, equal := m.share(body("text\r\n"), 0)
	assert.True(t, equal, "what is held is found")
	release()
	octets, bodies := m.held()
	assert.Equal(t, c.body.Memory(), octets, "and counted until the last holder releases it")
	assert.Equal(t, 1, bodies, "once")
	m.release(again)
	octets, _ = m.held()
	assert.Zero(t, octets, "nothing is held in the end")
}
