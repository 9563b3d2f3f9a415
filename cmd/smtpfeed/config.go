package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/smtpfeed/smtpfeed/feed"
)

// defaultFile is read when no -c is given, and may be absent.
const defaultFile = "/etc/smtpfeed/smtpfeed.toml"

// Config is the configuration file. Every key has a default (see defaults), so an empty file works. The toml tags are the
// names operators and tools rely on.
type Config struct {
	Hostname string         `toml:"hostname"` // EHLO name; "" until Load has filled in the machine's own
	LMTP     LMTPSection    `toml:"lmtp"`
	DNS      DNSSection     `toml:"dns"`
	SMTP     SMTPSection    `toml:"smtp"`
	Routes   []RouteSection `toml:"route,omitempty"`
	VERP     []VERPSection  `toml:"verp,omitempty"`
	TLS      TLSSection     `toml:"tls"`

	Submission SubmissionSection `toml:"submission"`
	Log        LogSection        `toml:"log"`
	Ledger     LedgerSection     `toml:"ledger"`
	Admin      AdminSection      `toml:"admin"`
}

// LMTPSection is where and how mail is taken from the host MTA.
type LMTPSection struct {
	Listen         []Listen `toml:"listen"` // empty: only the sockets systemd passes
	SocketMode     FileMode `toml:"socket_mode"`
	Peers          []string `toml:"peers"`    // users who may connect to a unix socket, by name or number; empty: whoever the socket's mode lets
	OpenTCP        bool     `toml:"open_tcp"` // tcp: addresses other than loopback are allowed
	MaxMessageSize Size     `toml:"max_message_size"`
	Memory         Size     `toml:"memory"`     // message bytes held at once
	Budget         Duration `toml:"budget"`     // from the host's final dot to our last reply
	DSN            bool     `toml:"dsn"`        // take the duty to notify over from the host MTA (RFC 3461)
	RequireTLS     bool     `toml:"requiretls"` // offer REQUIRETLS (RFC 8689)

	Timeouts LMTPTimeouts `toml:"timeouts,inline"`
}

// LMTPTimeouts are how long the host MTA may be silent.
type LMTPTimeouts struct {
	Command Duration `toml:"command"` // before it says what it wants
	Data    Duration `toml:"data"`    // in the middle of a message
	Write   Duration `toml:"write"`   // while it should read our replies
}

// DNSSection is whom to ask, and how hard.
type DNSSection struct {
	Servers []Server `toml:"servers"` // empty: those of /etc/resolv.conf
	Timeout Duration `toml:"timeout"`
	Window  int      `toml:"window"`   // questions in flight at start
	Cache   int      `toml:"cache"`    // answers kept at most
	Stale   Duration `toml:"stale"`    // how long past its TTL an answer serves while asking again fails; 0 is never
	TrustAD []Prefix `toml:"trust_ad"` // servers that are believed when they say that an answer is validated
}

// SMTPSection is how mail is sent.
type SMTPSection struct {
	Port                     uint16    `toml:"port"`
	Sessions                 int       `toml:"sessions"`
	SessionsPerHost          int       `toml:"sessions_per_host"`
	RecipientsPerTransaction int       `toml:"recipients_per_transaction"`
	Piggyback                Piggyback `toml:"piggyback"`
	Family                   Family    `toml:"family"`
	Source                   []Addr    `toml:"source"` // our end of connections, one a family at most
	ConnectTimeout           Duration  `toml:"connect_timeout"`
	HedgeDelay               Duration  `toml:"hedge_delay"`
	IdleTimeout              Duration  `toml:"idle_timeout"`
	DownTime                 Duration  `toml:"down_time"`
	LimitsTTL                Duration  `toml:"limits_ttl"`
	GatherTime               Duration  `toml:"gather_time"`   // 0 is never
	ChunkingFrom             Size      `toml:"chunking_from"` // 0 is never
	Send8Bit                 bool      `toml:"send_8bit"`     // to hosts without 8BITMIME too
	Timeouts                 Timeouts  `toml:"timeouts,inline"`
	Prohibited               []Prefix  `toml:"prohibited"` // empty: every address may be dialled
	Fallback                 []string  `toml:"fallback"`
}

// Timeouts are those of RFC 5321 section 4.5.3.2, absolute for a whole reply.
type Timeouts struct {
	Greeting Duration `toml:"greeting"`
	Hello    Duration `toml:"hello"`
	StartTLS Duration `toml:"starttls"`
	Mail     Duration `toml:"mail"`
	Rcpt     Duration `toml:"rcpt"`
	Data     Duration `toml:"data"`
	Body     Duration `toml:"body"`
	Final    Duration `toml:"final"`
	Quit     Duration `toml:"quit"`
}

// RouteSection is one line of the static routing map.
type RouteSection struct {
	Domain string   `toml:"domain"` // ".example.net" means the subdomains of example.net
	Hosts  []string `toml:"hosts"`

	TLS         string   `toml:"tls,omitempty"`           // off, opportunistic, required or verified; "" is tls.mode, and verified with auth
	Names       []string `toml:"names,omitempty"`         // that a certificate may have; empty: the host's
	ImplicitTLS bool     `toml:"implicit_tls,omitempty"`  // TLS from the first octet; always on port 465
	Auth        string   `toml:"auth,omitempty"`          // file with user and password
	AuthInClear bool     `toml:"auth_in_clear,omitempty"` // also without verified TLS
}

// VERPSection is a rule for personal envelope senders; see feed.VERP.
type VERPSection struct {
	Sender   string `toml:"sender"`
	Template string `toml:"template"`
	Header   string `toml:"header"`
	MaxLocal int    `toml:"max_local"` // 0 is 64
}

// rule is the section as the feeder takes it.
func (v VERPSection) rule() feed.VERP {
	return feed.VERP{Sender: v.Sender, Template: v.Template, Header: v.Header, MaxLocal: v.MaxLocal}
}

// TLSSection is what protection a session must have.
type TLSSection struct {
	Mode     string `toml:"mode"` // off, opportunistic or required
	DANE     bool   `toml:"dane"`
	MTASTS   bool   `toml:"mta_sts"`
	Policies string `toml:"policies"` // where MTA-STS policies outlive the process; "" is nowhere
	Roots    string `toml:"roots"`    // certificates of authorities, a PEM file; "" is the system's
	Tickets  int    `toml:"tickets"`  // servers whose sessions can be resumed

	PostQuantum bool `toml:"post_quantum"` // offer a key exchange that future computers cannot break

	Destinations []DestinationSection `toml:"destination,omitempty"`
	STS          STSSection           `toml:"sts"`
	Report       ReportSection        `toml:"report"`
}

// DestinationSection is what the operator wants for mail to some domain.
type DestinationSection struct {
	Domain string   `toml:"domain"`          // ".example.net" means the subdomains of example.net
	Mode   string   `toml:"mode"`            // off, opportunistic, required or verified
	Names  []string `toml:"names,omitempty"` // that a certificate may have, for verified
}

// STSSection is what MTA-STS policies may cost.
type STSSection struct {
	Timeout Duration `toml:"timeout"`  // of a whole fetch
	MaxSize Size     `toml:"max_size"` // of a policy
	Fetches int      `toml:"fetches"`  // at once
	Retry   Duration `toml:"retry"`    // how long a failed fetch is not tried again
	Cache   int      `toml:"cache"`    // policies kept at most
}

// ReportSection is what receivers are told about how TLS with them went (RFC 8460).
type ReportSection struct {
	Directory    string `toml:"directory"`    // where reports are written; "" is none
	Mail         bool   `toml:"mail"`         // and sent to those who ask for them, through submission
	Organization string `toml:"organization"` // "" is the hostname
	Contact      string `toml:"contact"`      // address of the operator; "" is postmaster at the hostname

	Delay   Duration `toml:"delay"`   // after the end of the day a report is made at a random time within this
	Keep    Duration `toml:"keep"`    // how long reports stay in the directory
	Domains int      `toml:"domains"` // counted a day at most
	Kinds   int      `toml:"kinds"`   // of failure told apart for each policy
}

// SubmissionSection is where smtpfeed hands over mail of its own: notifications and reports.
type SubmissionSection struct {
	Host string `toml:"host"` // the host MTA's smtpd, as in a route's hosts; "" is none
	From string `toml:"from"` // header From of that mail; "" is postmaster at the hostname

	Timeout Duration `toml:"timeout"` // for one mail, the host's absence included
}

// LogSection is what is told to whom.
type LogSection struct {
	Level      Level    `toml:"level"`
	Deliveries string   `toml:"deliveries"` // delivery records: a path, "" for none, "-" for standard output
	Wait       Duration `toml:"wait"`       // how long a batch of records may block before mail goes on without it
}

// LedgerSection is where deliveries not yet taken by the host MTA are remembered.
type LedgerSection struct {
	Path       string   `toml:"path"`       // "" is none
	Sync       string   `toml:"sync"`       // process or power
	Wait       Duration `toml:"wait"`       // how long a reply waits at most for its record
	Linger     Duration `toml:"linger"`     // how long the host MTA may take to note replies that it has read; 0 is no time
	Keep       Duration `toml:"keep"`       // how long the host MTA may take to send a message again
	Recipients int      `toml:"recipients"` // remembered at most
}

// AdminSection is where status and metrics are asked for.
type AdminSection struct {
	Listen Listen `toml:"listen"` // "" is none
}

// defaults returns the configuration of an empty file.
func defaults() Config {
	return Config{
		LMTP: LMTPSection{
			Listen:         []Listen{{"unix:/run/smtpfeed/lmtp.sock"}},
			SocketMode:     FileMode{0o660},
			Peers:          []string{},
			MaxMessageSize: 64 << 20,
			Memory:         1 << 30,
			Budget:         seconds(540),
			RequireTLS:     true,
			Timeouts:       LMTPTimeouts{Command: seconds(600), Data: seconds(300), Write: seconds(300)},
		},
		DNS: DNSSection{Servers: []Server{}, Timeout: seconds(5), Window: 200, Cache: 500_000, Stale: seconds(900),
			TrustAD: []Prefix{{netip.MustParsePrefix("127.0.0.0/8")}, {netip.MustParsePrefix("::1/128")}}},
		SMTP: SMTPSection{
			Port: 25, Sessions: 4000, SessionsPerHost: 10, RecipientsPerTransaction: 100,
			ConnectTimeout: seconds(30), HedgeDelay: Duration{500 * time.Millisecond}, IdleTimeout: seconds(30), Timeouts: defaultTimeouts(),
			DownTime: seconds(60), LimitsTTL: seconds(3600), GatherTime: seconds(2), ChunkingFrom: 256 << 10,
			Source: []Addr{}, Prohibited: []Prefix{{}}, Fallback: []string{},
		},
		TLS: TLSSection{Mode: "opportunistic", DANE: true, MTASTS: true, Policies: "/var/lib/smtpfeed/policies.sts", Tickets: 10_000, PostQuantum: true,
			STS:    STSSection{Timeout: seconds(15), MaxSize: 64 << 10, Fetches: 32, Retry: seconds(300), Cache: 100_000},
			Report: ReportSection{Delay: seconds(4 * 3600), Keep: seconds(30 * 86400), Domains: 100_000, Kinds: 100},
		},
		Submission: SubmissionSection{Timeout: seconds(25)},

		Log:    LogSection{Deliveries: "/var/log/smtpfeed/deliveries.jsonl", Wait: seconds(30)},
		Ledger: LedgerSection{Path: "/var/lib/smtpfeed/ledger.db", Sync: "process", Wait: seconds(5), Linger: seconds(600), Keep: seconds(5 * 86400), Recipients: 1_000_000},
		Admin:  AdminSection{Listen: Listen{"unix:/run/smtpfeed/admin.sock"}},
	}
}

// defaultTimeouts are the engine's own, so that the two cannot drift apart.
func defaultTimeouts() Timeouts {
	t := feed.DefaultTimeouts
	return Timeouts{
		Greeting: Duration{t.Greeting}, Hello: Duration{t.Hello}, StartTLS: Duration{t.StartTLS}, Mail: Duration{t.Mail}, Rcpt: Duration{t.Rcpt},
		Data: Duration{t.Data}, Body: Duration{t.Body}, Final: Duration{t.Final}, Quit: Duration{t.Quit},
	}
}

// seconds is n seconds as a Duration.
func seconds(n int) Duration { return Duration{time.Duration(n) * time.Second} }

// Load reads the configuration of path, or of the default file when path is empty. Problems in the file are Problems, each
// with its line. The hostname is filled in.
func Load(path string) (Config, error) {
	name, text, err := readConfig(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(name, text)
	if err != nil {
		return Config{}, err
	}
	if c.Hostname == "" {
		c.Hostname = machineName()
	}
	return c, nil
}

// readConfig returns the text of path. Only the default file may be absent: a file somebody named must be there.
func readConfig(path string) (name string, text []byte, err error) {
	name = path
	if path == "" {
		name = defaultFile
	}
	text, err = os.ReadFile(name)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		return name, nil, nil
	}
	if err != nil {
		return name, nil, fmt.Errorf("configuration file: %w; %s", err, readAdvice(err))
	}
	return name, text, nil
}

// readAdvice says what to do about a configuration file that cannot be read.
func readAdvice(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create it (an empty file works) or name another with -c"
	case errors.Is(err, fs.ErrPermission):
		return "make it readable for the user smtpfeed runs as"
	default:
		return "name a readable file with -c"
	}
}

// Parse reads a configuration from text; name stands for it in errors, which are Problems.
func Parse(name string, text []byte) (Config, error) {
	c := defaults()
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, decodeProblems(name, text, err)
	}
	if p := locate(name, text, validate(c)); len(p) > 0 {
		return Config{}, p
	}
	return c, nil
}

// String is the effective configuration as TOML; Parse reads it back to the same value.
func (c Config) String() string {
	text, err := toml.Marshal(c)
	if err != nil {
		panic("BUG: configuration cannot be written: " + err.Error())
	}
	return string(text)
}
