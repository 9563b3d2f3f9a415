package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/dsn"
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
)

const (
	// submissionPause is how long it is left alone when it did not take it.
	submissionPause = 1500 * time.Millisecond
	// leastSubmission is how long it has at least.
	leastSubmission = 2 * time.Second
	// mostSubmission is how long the replies to the host MTA may wait for it.
	mostSubmission = 40 * time.Second
	// submissionDomain stands for the host MTA in the submitter's own routing map, which has nothing else.
	submissionDomain = "submission.invalid"
	submissionLimit  = 10 // sessions with the host MTA
)

// A submitter hands mail of our own to the host MTA. It has a feeder to itself, so that nothing that waits for the world stands in the way.
type submitter struct {
	hostname string
	from     string
	timeout  time.Duration // for one mail: recipients wait for it whose replies are due
	feeder   *feed.Feeder
	resolver *resolver.Resolver
	number   atomic.Uint64
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// newSubmitter is nil when no submission.host is configured.
func newSubmitter(c Config, log *slog.Logger) (*submitter, error) {
	if c.Submission.Host == "" {
		return nil, nil
	}
	rc := c.resolverConfig(nil)
	rc.Fallback, rc.DANE, rc.STS = nil, false, nil
	rc.Static = []resolver.StaticRoute{{Domain: submissionDomain, Hosts: []string{c.Submission.Host}}}
	r, err := resolver.New(rc)
	if err != nil {
		return nil, err
	}
	fc := feed.Config{Hostname: c.Hostname, Port: 25, Sessions: submissionLimit, Resolver: r, Log: log, DownTime: time.Second,
		TLS: feed.TLS{Mode: feed.TLSOpportunistic}, ConnectTimeout: 5 * time.Second}
	s := &submitter{hostname: c.Hostname, from: c.Submission.From, timeout: c.Submission.Timeout.Duration, feeder: feed.New(fc), resolver: r}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.running.Go(func() { s.feeder.Run(ctx) })
	return s, nil
}

// close ends it. What is on its way is broken off.
func (s *submitter) close() {
	if s == nil {
		return
	}
	s.cancel()
	s.running.Wait()
	s.resolver.Close()
}

// An answer is the Sink of an envelope with one recipient. The channel has room for its outcome.
type answer chan *feed.Outcome

func (a answer) Settle(list []feed.Settlement) {
	for _, s := range list {
		a <- s.Outcome
	}
}

// errFinal says that a message of ours is not to be tried again: the host MTA does not want it, or may have it.
var errFinal = errors.New("submission: not tried again")

// submit sends a message from the null reverse-path, and returns when the host MTA has it. One that is away for a moment is tried again
// for as long as ctx lets it.
func (s *submitter) submit(ctx context.Context, to wire.Address, p feed.Params, content []byte) error {
	var body wire.BodyWriter
	body.Write(content)
	whole := body.Body()
	for {
		err := s.submitOnce(ctx, to, p, whole)
		if err == nil || errors.Is(err, errFinal) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(submissionPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *submitter) submitOnce(ctx context.Context, to wire.Address, p feed.Params, body *wire.Body) error {
	settled := make(answer, 1)
	e := &feed.Envelope{ID: "own" + strconv.FormatUint(s.number.Add(1), 36), Params: p, Recipients: []wire.Address{to},
		Routes: []string{submissionDomain}, Body: body, Deadline: time.Now().Add(s.timeout), Sink: settled}
	s.feeder.Send(e)
	select {
	case o := <-settled:
		switch {
		case o.Class == feed.Delivered:
			return nil
		case o.Class == feed.Failed, o.Uncertain: // in doubt one too few is better: it is issued once
			return fmt.Errorf("%w: %s", errFinal, o.Reason())
		}
		return fmt.Errorf("submission.host: %s", o.Reason())
	case <-ctx.Done():
		s.feeder.Cancel(e)
		return fmt.Errorf("submission.host did not take it within submission.timeout: %w", ctx.Err())
	}
}

// notify issues the notification "relayed" for recipients whose next hop does not notify.
func (s *submitter) notify(n lmtp.Notice) error {
	notice := dsn.Notice{ReportingMTA: s.hostname, From: s.from, To: n.From, EnvID: n.DSN.EnvID, Arrival: n.Arrival, Now: time.Now(),
		Original: n.Body.Raw(), UTF8: n.UTF8, ID: noticeID(n)}
	if n.RequireTLS {
		notice.Original = nil
	}
	for _, r := range n.Recipients {
		to := dsn.Recipient{To: r.To, ORCPT: r.ORCPT, Status: r.Outcome.Status, Reply: r.Outcome.Reply}
		if v := r.Outcome.Via; v != nil {
			to.RemoteMTA, to.Addr = v.MX, v.Addr.Addr()
		}
		notice.Recipients = append(notice.Recipients, to)
	}
	m := dsn.Relayed(notice)
	if len(m.Content) == 0 {
		return errors.New("there is nobody to notify")
	}
	// The replies are due, but a notification that had no time at all would not be tried.
	until := time.Now().Add(leastSubmission)
	if n.Deadline.After(until) {
		until = n.Deadline
	}
	if most := time.Now().Add(s.timeout); most.Before(until) {
		until = most
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	return s.submit(ctx, n.From, feed.Params{EightBitMIME: m.EightBit, SMTPUTF8: m.SMTPUTF8}, m.Content)
}

// noticeID names a notification by what it is about: one that is issued again, since the first attempt's end is not known, can be told for the
// same.
func noticeID(n lmtp.Notice) string {
	h := sha256.New()
	digest := n.Body.Digest()
	h.Write(digest[:])
	fmt.Fprintf(h, "%q", n.From.String())
	for _, r := range n.Recipients {
		fmt.Fprintf(h, " %q", r.To.String())
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// report sends a report on TLS to one who asked for it.
func (s *submitter) report(ctx context.Context, m tlsrpt.Mail) error {
	to, err := wire.ParseAddress(m.To)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.submit(ctx, to, feed.Params{}, m.Message)
}
