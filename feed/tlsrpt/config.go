package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"time"
	"unicode"
)

const (
	defaultKeep    = 30 * 24 * time.Hour
	defaultDelay   = 4 * time.Hour // RFC 8460 section 4.1: "a random delay of up to four hours"
	defaultDomains = 100_000
	defaultDetails = 100
)

var (
	errNoTexts  = errors.New("there is nothing to look up with whether reports are wanted")
	errHostname = errors.New("not a domain name")
)

// MaxDetails is the most that Config.Details may be: with more a domain could have more to say than its line of the saved counts holds.
const MaxDetails = 1000

// Config says what is reported, and how. With no Directory only Domains, Details and Log matter, and nothing but totals is kept.
type Config struct {
	Organization string        // who reports; "" is the Hostname
	Contact      string        // mail address of who can be asked about reports; "" is postmaster at the Hostname
	Hostname     string        // of this MTA: the submitter
	From         string        // header From of reports that are mailed; "" is postmaster at the Hostname
	Directory    string        // of reports and the saved counts, made if missing; "" is totals only
	Keep         time.Duration // how long reports stay in the Directory; 0 is 30 days
	Delay        time.Duration // a day is reported at a random time up to this long after its end; 0 is 4 hours
	Domains      int           // counted a day; 0 is 100,000
	Details      int           // kinds of failure told apart for each policy, at most MaxDetails; 0 is 100

	// Texts returns the TXT records of a name, the strings of each joined. None, or no such name, is no error. It is called from
	// several goroutines.
	Texts func(ctx context.Context, name string) ([]string, error)
	// Mail hands a report over to the host MTA; nil is no mail. nil as its result means that the host MTA took it. It is called from
	// several goroutines.
	Mail func(ctx context.Context, m Mail) error
	Log  *slog.Logger // nil is silence
}

// A Mail is one report to one address.
type Mail struct {
	To      string // the address: a dot-atom and a domain name
	Domain  string // whose report it is
	Message []byte // complete, with CRLF line ends, 7 bit, no line over 998 octets
}

func (c Config) withDefaults() Config {
	if c.Organization == "" {
		c.Organization = c.Hostname
	}
	if c.Contact == "" {
		c.Contact = "postmaster@" + c.Hostname
	}
	if c.From == "" {
		c.From = "postmaster@" + c.Hostname
	}
	if c.Keep <= 0 {
		c.Keep = defaultKeep
	}
	if c.Delay <= 0 {
		c.Delay = defaultDelay
	}
	if c.Domains <= 0 {
		c.Domains = defaultDomains
	}
	if c.Details <= 0 {
		c.Details = defaultDetails
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// check is what is wrong with a Config that is to make reports. It puts the names into the form in which reports have them.
func (c *Config) check() error {
	c.Hostname = strings.ToLower(strings.TrimSuffix(c.Hostname, "."))
	if !isDomain(c.Hostname) {
		return fmt.Errorf("hostname %q: %w", c.Hostname, errHostname)
	}
	*c = c.withDefaults()
	if c.Texts == nil {
		return errNoTexts
	}
	contact, err := mail.ParseAddress(c.Contact)
	if err != nil {
		return fmt.Errorf("contact %q: %w", c.Contact, err)
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return fmt.Errorf("from %q: %w", c.From, err)
	}
	// RFC 8460 section 4.4: contact-info is an addr-spec. String encodes what a header may not have.
	c.Contact, c.From = contact.Address, from.String()
	c.Organization = strings.Map(visible, strings.ToValidUTF8(c.Organization, "?"))
	return nil
}

// visible drops what is not to be seen. An organization may have a name in any script.
func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return -1
}
