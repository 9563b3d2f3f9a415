package wire

import (
	"slices"
	"strconv"
	"strings"
)

// Bounds on what is kept of an EHLO reply.
const (
	maxName     = 255 // octets of a domain (RFC 5321 section 4.5.3.1.2)
	maxAuth     = 32  // mechanisms; IANA has registered about as many
	maxAuthName = 20  // octets of one mechanism's name (RFC 4422 section 3.1)
)

// Caps is what a server offered in its EHLO reply (RFC 5321 section 4.1.1.1). The zero value is a server that knows only HELO.
type Caps struct {
	Name                string   // the domain the server calls itself, cleaned
	Pipelining          bool     // RFC 2920
	EightBitMIME        bool     // RFC 6152
	SMTPUTF8            bool     // RFC 6531
	StartTLS            bool     // RFC 3207
	Chunking            bool     // RFC 3030
	DSN                 bool     // RFC 3461
	EnhancedStatusCodes bool     // RFC 2034
	RequireTLS          bool     // RFC 8689
	HasSize             bool     // RFC 1870: SIZE may stand in MAIL, whether or not a limit is known
	Size                int64    // octets; 0 is no known limit
	Auth                []string // SASL mechanisms in upper case, each once, in the server's order (RFC 4954)
	RcptMax             int      // RFC 9422 LIMITS; 0 is none given
	RcptDomainMax       int
	MailMax             int
}

// ParseCaps reads a positive EHLO reply. Keywords are case-insensitive; what is not understood is ignored. Where a server
// says a thing twice, the last counts.
func ParseCaps(r Reply) Caps {
	// RFC 5321 section 4.1.1.1: the first line is the domain and a greeting, also when it reads like a keyword.
	greeting, rest, _ := strings.Cut(r.Text, "\n")
	var c Caps
	if words := strings.Fields(greeting); len(words) > 0 {
		c.Name = Clean(words[0], maxName)
	}
	for line := range strings.SplitSeq(rest, "\n") {
		if words := strings.Fields(line); len(words) > 0 {
			c.take(strings.ToUpper(words[0]), words[1:])
		}
	}
	return c
}

// take understands one ehlo-line.
func (c *Caps) take(keyword string, params []string) {
	switch keyword {
	case "PIPELINING":
		c.Pipelining = true
	case "8BITMIME":
		c.EightBitMIME = true
	case "SMTPUTF8":
		c.SMTPUTF8 = true
	case "STARTTLS":
		c.StartTLS = true
	case "CHUNKING":
		c.Chunking = true
	case "DSN":
		c.DSN = true
	case "ENHANCEDSTATUSCODES":
		c.EnhancedStatusCodes = true
	case "REQUIRETLS":
		c.RequireTLS = true
	case "SIZE":
		c.takeSize(params)
	case "LIMITS":
		c.takeLimits(params)
	case "AUTH":
		c.takeAuth(params)
	default:
		// "AUTH=LOGIN PLAIN" is what servers said before RFC 2554, and say today for the clients of that time.
		if first, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			c.takeAuth(append([]string{first}, params...))
		}
	}
}

// takeSize reads RFC 1870's fixed maximum message size. A missing, zero, senseless or overflowing number is no limit
// known: mail must never fail for a number that we could not read.
func (c *Caps) takeSize(params []string) {
	c.HasSize, c.Size = true, 0
	if len(params) == 0 {
		return
	}
	if n, err := strconv.ParseUint(params[0], 10, 63); err == nil {
		c.Size = int64(n)
	}
}

// takeLimits reads "LIMITS MAILMAX=20 RCPTMAX=100" (RFC 9422 section 4).
func (c *Caps) takeLimits(params []string) {
	for _, param := range params {
		name, value, _ := strings.Cut(param, "=")
		// Section 4: "1*6DIGIT", and zero is not allowed. What breaks that is no limit.
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || n == 0 || n > 999_999 {
			continue
		}
		switch strings.ToUpper(name) {
		case "RCPTMAX":
			c.RcptMax = int(n)
		case "RCPTDOMAINMAX":
			c.RcptDomainMax = int(n)
		case "MAILMAX":
			c.MailMax = int(n)
		}
	}
}

// takeAuth gathers SASL mechanisms.
func (c *Caps) takeAuth(params []string) {
	for _, param := range params {
		if len(c.Auth) == maxAuth {
			return
		}
		name := strings.ToUpper(param)
		if isMechanism(name) && !slices.Contains(c.Auth, name) {
			c.Auth = append(c.Auth, name)
		}
	}
}

// isMechanism says that name has the syntax of RFC 4422 section 3.1.
func isMechanism(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isDigit(c) && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= maxAuthName
}
