package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/ledger"
	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/lmtp"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// A delivery is everything between an LMTP connection and the mail exchangers, built from a configuration: what serve and stdio
// have in common.
type delivery struct {
	resolver *resolver.Resolver
	feeder   *feed.Feeder
	lmtp     *lmtp.Server
	records  *records
	ledger   *ledger.Ledger // nil is none

	policies  *sts.Store       // nil: no MTA-STS
	reporter  *tlsrpt.Reporter // nil: nobody counts how TLS went
	submitter *submitter       // nil: no mail of our own

	cancel context.CancelFunc // stops the feeder at once
	done   chan struct{}      // closed by the feeder's goroutine when Run has returned
}

// newDelivery builds the parts and starts the feeder's loop. The caller ends it with drain or stop, and then close, which closes
// the records too.
func newDelivery(c Config, rec *records, log *slog.Logger) (*delivery, error) {
	d := &delivery{records: rec, done: make(chan struct{})}
	tls, err := d.openParts(c, false, log)
	if err != nil {
		d.closeParts()
		return nil, &failure{exitConfig, err}
	}
	d.openFeeder(c, tls, log)
	lc := c.lmtpConfig(d.feeder, rec.write, log)
	if c.LMTP.DSN {
		lc.DSN, lc.Notify = true, d.submitter.notify
	}
	d.lmtp = lmtp.New(lc)
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(d.done)
		d.feeder.Run(ctx)
	}()
	return d, nil
}

// openParts makes what the feeder and the LMTP side stand on; readOnly leaves the files alone that a running daemon may have.
func (d *delivery) openParts(c Config, readOnly bool, log *slog.Logger) (tls feed.TLS, err error) {
	if tls, err = c.tls(); err != nil {
		return tls, err
	}
	if d.policies, err = c.policies(tls.Roots, readOnly, log); err != nil {
		return tls, err
	}
	rc := c.resolverConfig(newSelf().is)
	rc.STS = d.policies
	if d.resolver, err = resolver.New(rc); err != nil {
		return tls, err
	}
	if d.submitter, err = newSubmitter(c, log); err != nil {
		return tls, err
	}
	if c.TLS.Report.Directory == "" {
		return tls, nil
	}
	rep := c.reportConfig()
	rep.Texts, rep.Log = d.resolver.Texts, log
	if c.TLS.Report.Mail {
		rep.Mail = d.submitter.report
	}
	if d.reporter, err = tlsrpt.Open(rep); err != nil { // no reason not to deliver
		log.Error("no reports on TLS are made: tls.report.directory", "error", err)
	}
	return tls, nil
}

func (c Config) reportConfig() tlsrpt.Config {
	r := c.TLS.Report
	return tlsrpt.Config{Organization: r.Organization, Contact: r.Contact, Hostname: c.Hostname, From: c.Submission.From, Directory: r.Directory,
		Keep: r.Keep.Duration, Delay: r.Delay.Duration, Domains: r.Domains, Details: r.Kinds}
}

// closeParts ends what openParts made.
func (d *delivery) closeParts() {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if d.reporter != nil {
		d.reporter.Close(ctx)
	}
	d.submitter.close()
	if d.resolver != nil {
		d.resolver.Close()
	}
	if d.policies != nil {
		d.policies.Close()
	}
}

// openFeeder makes the feeder and opens its ledger, whose deliveries it is told before any mail comes. A ledger that cannot be opened is
// no reason not to deliver: it says so itself, and tries again.
func (d *delivery) openFeeder(c Config, tls feed.TLS, log *slog.Logger) {
	fc := c.feedConfig(d.resolver, log)
	fc.TLS = tls
	if d.reporter != nil {
		fc.Observer = d.reporter
	}
	if c.Ledger.Path == "" {
		d.feeder = feed.New(fc)
		return
	}
	found := make(chan []feed.Delivery, 1) // sent by the ledger, once at most
	d.ledger = ledger.Open(ledger.Config{Path: c.Ledger.Path, Sync: ledgerSyncs[c.Ledger.Sync], Keep: c.Ledger.Keep.Duration, Log: log,
		Found: func(list []feed.Delivery) { found <- list }})
	fc.Ledger = d.ledger
	d.feeder = feed.New(fc)
	select {
	case list := <-found:
		d.feeder.Recall(list)
	default:
		go d.recallLater(found)
	}
}

// recallLater waits for a ledger that could not be opened at once.
func (d *delivery) recallLater(found <-chan []feed.Delivery) {
	select {
	case list := <-found:
		d.feeder.Recall(list)
	case <-d.done:
	}
}

// drain ends gently: no transaction begins any more (451 at MAIL), what waits in the feeder is settled with 4.3.2 and what is
// in flight finishes, and the host MTAs get every reply. It gives up when ctx is done.
//
// Feeder.Drain only says so and returns; an envelope that comes between the two lines is settled at once.
func (d *delivery) drain(ctx context.Context) {
	d.feeder.Drain()
	d.lmtp.Drain(ctx)
	select {
	case <-d.done:
	case <-ctx.Done():
	}
}

// stopGrace is how long a stop at once waits for host MTAs to take their replies.
const stopGrace = 3 * time.Second

// stop ends at once: sessions are cut, which settles every recipient, and the host MTAs get their replies if they take them now.
// To some of them a connection that ends without a word says that nothing works here.
func (d *delivery) stop() {
	d.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	d.lmtp.Drain(ctx)
	select {
	case <-d.done:
	case <-time.After(stopGrace): // a session hangs, for a fault of ours: the end of the process ends it too
	}
}

// close frees what is left after drain or stop.
func (d *delivery) close() {
	d.stop()
	d.closeLedger()
	d.closeParts()
	d.records.close()
}

// closeLedger writes what is queued. What a disk does not take in time, the host MTA may send again to somebody who has it.
func (d *delivery) closeLedger() {
	if d.ledger == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	d.ledger.Close(ctx)
}

// resolverConfig is the configuration for the resolver; self tells the machine's own addresses.
func (c Config) resolverConfig(self func(netip.Addr) bool) resolver.Config {
	rc := resolver.Config{
		Timeout:      c.DNS.Timeout.Duration,
		Window:       c.DNS.Window,
		Stale:        c.stale(),
		CacheEntries: c.DNS.Cache,
		Families:     map[feed.Family]resolver.Families{feed.OnlyIPv4: resolver.OnlyIPv4, feed.OnlyIPv6: resolver.OnlyIPv6}[c.SMTP.Family.Family],
		Fallback:     c.SMTP.Fallback,
		Self:         self,
		DANE:         c.TLS.DANE && c.TLS.Mode != "off",
		TrustAD:      c.trustAD(),
		Port:         c.SMTP.Port,
	}
	for _, s := range c.DNS.Servers {
		rc.Servers = append(rc.Servers, s.String())
	}
	for _, r := range c.Routes {
		rc.Static = append(rc.Static, resolver.StaticRoute{Domain: r.Domain, Hosts: r.Hosts})
	}
	return rc
}

// feedConfig is the configuration for the feeder.
func (c Config) feedConfig(r feed.Resolver, log *slog.Logger) feed.Config {
	t := c.SMTP.Timeouts
	return feed.Config{
		Hostname:                 c.Hostname,
		Port:                     c.SMTP.Port,
		Sessions:                 c.SMTP.Sessions,
		SessionsPerHost:          c.SMTP.SessionsPerHost,
		RecipientsPerTransaction: c.SMTP.RecipientsPerTransaction,
		Piggyback:                c.SMTP.Piggyback.Piggyback,
		Family:                   c.SMTP.Family.Family,
		Source:                   c.source(),
		ConnectTimeout:           c.SMTP.ConnectTimeout.Duration,
		HedgeDelay:               c.SMTP.HedgeDelay.Duration,
		IdleTimeout:              c.SMTP.IdleTimeout.Duration,
		DownTime:                 c.SMTP.DownTime.Duration,
		LimitsTTL:                c.SMTP.LimitsTTL.Duration,
		ChunkingFrom:             c.chunkingFrom(),
		GatherTime:               c.gatherTime(),
		Send8Bit:                 c.SMTP.Send8Bit,
		VERP:                     c.verp(),
		LedgerWait:               c.Ledger.Wait.Duration,
		LedgerKeep:               c.Ledger.Keep.Duration,
		LedgerLinger:             c.Ledger.Linger.Duration,
		LedgerRecipients:         c.Ledger.Recipients,
		Timeouts: feed.Timeouts{
			Greeting: t.Greeting.Duration, Hello: t.Hello.Duration, StartTLS: t.StartTLS.Duration, Mail: t.Mail.Duration,
			Rcpt: t.Rcpt.Duration, Data: t.Data.Duration, Body: t.Body.Duration, Final: t.Final.Duration, Quit: t.Quit.Duration,
		},
		Prohibited: c.prohibited(),
		Resolver:   r,
		Log:        log,
	}
}

// stale is how long answers serve past their TTL, as the resolver takes it.
func (c Config) stale() time.Duration {
	if c.DNS.Stale.Duration == 0 {
		return -1
	}
	return c.DNS.Stale.Duration
}

// gatherTime is how long a part of a list waits for the others, as the feeder takes it. Most of the budget stays for delivery.
func (c Config) gatherTime() time.Duration {
	if c.SMTP.GatherTime.Duration == 0 {
		return -1
	}
	return min(c.SMTP.GatherTime.Duration, c.LMTP.Budget.Duration/4)
}

// chunkingFrom is the size from which bodies go by BDAT, as the feeder takes it.
func (c Config) chunkingFrom() int64 {
	if c.SMTP.ChunkingFrom == 0 {
		return -1
	}
	return int64(c.SMTP.ChunkingFrom)
}

// verp is the rules for personal senders.
func (c Config) verp() []feed.VERP {
	var rules []feed.VERP
	for _, v := range c.VERP {
		rules = append(rules, v.rule())
	}
	return rules
}

func (c Config) source() []netip.Addr {
	var all []netip.Addr
	for _, a := range c.SMTP.Source {
		all = append(all, a.Addr)
	}
	return all
}

// prohibited is the ranges of addresses with the word default written out.
func (c Config) prohibited() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range c.SMTP.Prohibited {
		if p.IsValid() {
			all = append(all, p.Prefix)
		} else {
			all = append(all, feed.Internal()...)
		}
	}
	return all
}

// lmtpConfig is the configuration for the LMTP side.
func (c Config) lmtpConfig(m lmtp.Mailer, record func([]lmtp.Record), log *slog.Logger) lmtp.Config {
	return lmtp.Config{
		Hostname:       c.Hostname,
		Mailer:         m,
		Log:            log,
		Record:         record,
		MaxMessageSize: int64(c.LMTP.MaxMessageSize),
		Memory:         int64(c.LMTP.Memory),
		Budget:         c.LMTP.Budget.Duration,
		Connections:    hostConnections(c.SMTP.Sessions, raiseFileLimit()),
		RequireTLS:     c.LMTP.RequireTLS && c.TLS.Mode != "off",
		CommandTimeout: c.LMTP.Timeouts.Command.Duration,
		DataTimeout:    c.LMTP.Timeouts.Data.Duration,
		WriteTimeout:   c.LMTP.Timeouts.Write.Duration,
	}
}

// selfLife is how long the machine's addresses are believed: long enough to cost nothing, short enough for an address that moves.
const selfLife = time.Minute

// A self knows the machine's own addresses: an exchanger with one of them would hand the mail back (RFC 5321 section 5.1).
// Loopback is none of them. What a domain says about 127.0.0.1 is no statement about this machine; smtp.prohibited is
// there for that.
type self struct{ known atomic.Pointer[selfAddrs] }

type selfAddrs struct {
	addrs map[netip.Addr]bool
	until time.Time
}

func newSelf() *self { return new(self) }

// is says that a is an address of this machine.
func (s *self) is(a netip.Addr) bool {
	k := s.known.Load()
	if now := time.Now(); k == nil || now.After(k.until) {
		k = &selfAddrs{addrs: interfaceAddrs(), until: now.Add(selfLife)}
		s.known.Store(k)
	}
	return k.addrs[a.Unmap()]
}

// interfaceAddrs asks the system; when it does not answer no address is ours and a loop ends at the host MTA's hop count.
func interfaceAddrs() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return own
	}
	for _, n := range nets {
		p, err := netip.ParsePrefix(n.String())
		if err == nil && !p.Addr().IsLoopback() {
			own[p.Addr().Unmap()] = true
		}
	}
	return own
}
