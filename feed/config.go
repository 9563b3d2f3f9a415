package feed

import (
	"cmp"
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// Config is everything a Feeder is told. The zero value of a field means what its comment says.
type Config struct {
	Hostname string // EHLO name; "" is "localhost"
	Port     uint16 // port of an exchanger whose route names none; 0 is 25

	Sessions                 int       // SMTP connections at once, all hosts together; 0 is 4000
	SessionsPerHost          int       // cap of the concurrency one exchanger can earn, with all policies; 0 is 10
	RecipientsPerTransaction int       // 0 is 100
	Piggyback                Piggyback // recipients of several domains in one transaction
	ChunkingFrom             int64     // octets of a body from which it goes by BDAT where CHUNKING is offered; negative is never; 0 is 256 KiB
	Send8Bit                 bool      // 8-bit content goes to hosts without 8BITMIME too, as it is; else it is refused (RFC 6152 section 3) where the host MTA has declared it
	VERP                     []VERP    // rules for personal envelope senders; the first that matches a sender counts
	Family                   Family    // which addresses are dialled

	// Source is our end of connections, one address a family at most; the system chooses for families without one. One that this machine
	// does not have delivers nothing (4.4.0). It is for Dial to use, which does when it is nil.
	Source []netip.Addr

	ConnectTimeout time.Duration // 0 is 30 s
	HedgeDelay     time.Duration // how long a connection may take before the next address or exchanger is tried beside it; negative is for ever; 0 is 500 ms
	IdleTimeout    time.Duration // how long a session no unsettled route names stays open; 0 is 30 s
	Timeouts       Timeouts
	DownTime       time.Duration // how long an unreachable host is not tried again, the first time; it doubles up to 16 times that; 0 is 60 s
	GatherTime     time.Duration // how long recipients wait at most for more of their message to come in and ride along; negative is never; 0 is 2 s
	LimitsTTL      time.Duration // how long a limit that a host showed is believed without being seen again; 0 is an hour

	Prohibited []netip.Prefix // addresses never dialled; nil prohibits none (see Internal)

	Ledger           Ledger        // nil is none: a host MTA that sends a recipient again has it delivered again
	LedgerWait       time.Duration // how long the reply for a delivery waits for the ledger at most; 0 is 5 s
	LedgerKeep       time.Duration // how long a host MTA may take to send a message again; 0 is 5 days
	LedgerLinger     time.Duration // how long a host MTA may take to note replies that it has read; 0 is no time
	LedgerRecipients int           // how many delivered recipients are remembered at most; 0 is 1,000,000

	TLS      TLS
	Observer Observer // nil: nobody wants to know how TLS went

	Resolver Resolver
	Dial     func(ctx context.Context, to netip.AddrPort) (net.Conn, error) // nil is TCP
	Log      *slog.Logger                                                   // nil discards
	Trace    io.Writer                                                      // events and actions as text, for replay; nil is off
	Seed     uint64                                                         // orders equally preferred hosts; 0 draws one at random
}

// TLS is how sessions are protected where no policy of the receiver says so. DANE and MTA-STS come with the resolver's routes.
type TLS struct {
	Mode         TLSMode
	Destinations []Destination  // for domains that are to be treated otherwise; the longest match counts
	Relays       []Destination  // what the entries of the routing map say of their hosts; the longest match counts, and precedes Destinations
	Roots        *x509.CertPool // of certificates that a policy wants verified; nil is the system's
	Classic      bool           // no post-quantum key exchange: a handshake costs half, and what is recorded now may be read one day
	Tickets      int            // servers whose sessions can be resumed; 0 is 10,000
}

// A TLSMode is how much TLS a session must have when nothing else is known of its host.
type TLSMode uint8

const (
	TLSOff           TLSMode = iota // STARTTLS is not spoken
	TLSOpportunistic                // where offered, with any certificate; plaintext where that fails
	TLSRequired                     // with any certificate; no mail without
	TLSVerified                     // with a certificate for one of Destination.Names, or without them for the configured host's own name
)

// A Destination is what the operator wants for mail to some domain, whatever its receiver publishes. Host names are those of the routing map.
type Destination struct {
	Domain   string // as folded by resolver.Fold; ".example.net" for the subdomains of example.net; "*" for all
	Mode     TLSMode
	Names    []string // that TLSVerified accepts in a certificate; ".example.net" accepts any name below; empty: the configured host's
	Implicit bool     // TLS from the first octet (RFC 8314 section 3)
	Auth     *Credentials
	Plain    bool // of Relays: the entry says nothing of TLS, and hides a shorter match that does

	AuthInClear bool // Auth is used without verified TLS too
}

// Credentials are how we say who we are to a relay (RFC 4954).
type Credentials struct {
	Source         string // where the operator wrote them, for logs
	User, Password string
	Mechanisms     []string // that may be used, the first one offered is; empty: PLAIN, then LOGIN
}

// A Resolver finds routes. *resolver.Resolver is the real one.
type Resolver interface {
	// Start resolves domains, each once. It returns what is known at once and hands the rest to done as it comes, several together
	// and from any goroutine, perhaps before it returns. Every error is a *resolver.Error.
	Start(domains []string, done func([]resolver.Result)) (known []resolver.Result)
	// Verify is Start that believes no additional section: it asks for the addresses of exchangers of which they were MX.Additional.
	Verify(domains []string, done func([]resolver.Result)) (known []resolver.Result)
	// Cached returns what is known without asking anybody; ok is false when nothing is.
	Cached(domain string) (route resolver.Route, ok bool, err error)
}

// Piggyback says when recipients of several domains may share a transaction.
type Piggyback uint8

const (
	PiggybackLearned Piggyback = iota // unless the host was seen to refuse it
	PiggybackOff                      // one domain a transaction
	PiggybackAlways                   // whatever was learned
)

// Family says which addresses of a host are dialled.
type Family uint8

const (
	AnyFamily Family = iota
	OnlyIPv4
	OnlyIPv6
)

// Timeouts are those of RFC 5321 section 4.5.3.2: absolute for a whole reply, cut by the envelope's budget. Zero fields take
// DefaultTimeouts' value.
type Timeouts struct {
	Greeting, Hello, StartTLS, Mail, Rcpt, Data, Body, Final, Quit time.Duration
}

// DefaultTimeouts follow RFC 5321 section 4.5.3.2; quit is how long the goodbye may take to leave, for its reply is not waited for.
var DefaultTimeouts = Timeouts{
	Greeting: 300 * time.Second, Hello: 300 * time.Second, StartTLS: 60 * time.Second, Mail: 300 * time.Second,
	Rcpt: 300 * time.Second, Data: 120 * time.Second, Body: 180 * time.Second, Final: 600 * time.Second, Quit: 2 * time.Second,
}

// Internal is the address space in which no mail exchanger of the public internet lives (RFC 6890): unspecified, loopback,
// private, shared, link-local, benchmarking, multicast and reserved. It is the configuration's prohibited = ["default"].
func Internal() []netip.Prefix {
	var prefixes []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
		"::/127", "64:ff9b:1::/48", "100::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	return prefixes
}

// withDefaults gives every field that is zero the value its comment names.
func (c Config) withDefaults() Config {
	c.Hostname = cmp.Or(c.Hostname, "localhost")
	c.Port = cmp.Or(c.Port, 25)
	c.Sessions = cmp.Or(c.Sessions, 4000)
	c.SessionsPerHost = cmp.Or(c.SessionsPerHost, 10)
	c.RecipientsPerTransaction = cmp.Or(c.RecipientsPerTransaction, 100)
	c.ChunkingFrom = cmp.Or(c.ChunkingFrom, 256<<10)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 30*time.Second)
	c.HedgeDelay = cmp.Or(c.HedgeDelay, 500*time.Millisecond)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 30*time.Second)
	c.DownTime = cmp.Or(c.DownTime, 60*time.Second)
	c.GatherTime = cmp.Or(c.GatherTime, 2*time.Second)
	c.LimitsTTL = cmp.Or(c.LimitsTTL, time.Hour)
	c.LedgerWait = cmp.Or(c.LedgerWait, 5*time.Second)
	c.LedgerKeep = cmp.Or(c.LedgerKeep, 5*24*time.Hour)
	c.LedgerRecipients = cmp.Or(c.LedgerRecipients, 1_000_000)
	c.TLS.Tickets = cmp.Or(c.TLS.Tickets, ticketServers)
	c.Timeouts = c.Timeouts.withDefaults()
	if c.Dial == nil {
		c.Dial = dialerFrom(c.Source)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Seed == 0 {
		c.Seed = randomSeed()
	}
	return c
}

func (t Timeouts) withDefaults() Timeouts {
	d := DefaultTimeouts
	return Timeouts{
		Greeting: cmp.Or(t.Greeting, d.Greeting), Hello: cmp.Or(t.Hello, d.Hello), StartTLS: cmp.Or(t.StartTLS, d.StartTLS),
		Mail: cmp.Or(t.Mail, d.Mail), Rcpt: cmp.Or(t.Rcpt, d.Rcpt), Data: cmp.Or(t.Data, d.Data),
		Body: cmp.Or(t.Body, d.Body), Final: cmp.Or(t.Final, d.Final), Quit: cmp.Or(t.Quit, d.Quit),
	}
}

// of is how long a reply at this stage may take in all.
func (t Timeouts) of(s stage) time.Duration {
	return [...]time.Duration{stageGreeting: t.Greeting, stageHello: t.Hello, stageStartTLS: t.StartTLS,
		stageHandshake: t.StartTLS, stageAuth: t.Hello, stageReset: t.Mail, stageMail: t.Mail,
		stageRcpt: t.Rcpt, stageData: t.Data, stageBody: t.Body, stageFinal: t.Final, stageQuit: t.Quit}[s]
}
