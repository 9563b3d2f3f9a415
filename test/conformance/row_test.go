package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/smtpfeed/smtpfeed/test/dnssim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A row is a fault and what must become of the mail. The package's documentation says what is played and checked.
type row struct {
	id   string // the catalogue's, or "X-..."
	rule string // what is checked, in a few words; unique within an id

	// What the best exchanger does.
	faults []fault
	offer  []string // its EHLO keywords; nil: PIPELINING, SIZE 0, 8BITMIME
	manner manner   // how it writes
	warm   bool     // an early message for z@one.test has gone over the connection before
	others []host   // exchangers beside the best one and the other one; the row's zone names them

	// TLS, and what is published of it.
	tls      *secured // how the best exchanger speaks it; nil: not at all
	tlsNext  *secured // how the other one does; nil: in order, if the best one speaks it
	channel  channel  // how contents must come
	extra    string   // records besides the zone's; "TLSA 3 1 1 of:mx1" fits a certificate
	signed   bool     // the DNS is: all answers are said to be validated
	answer   oddity   // what is wrong with answers then; nil: nothing
	policies []policyHost

	// What is sent. The zero values are what the package's documentation says.
	to      []string
	content string
	large   bool          // a content that does not fit into the buffers on the way
	budget  time.Duration // in memory only; 0: 540 s
	private bool          // with REQUIRETLS (RFC 8689)
	lax     bool          // with "TLS-Required: No" in its header (RFC 8689 section 5)

	// What the names are. A row with a zone of its own is played once, in that world.
	zone  string
	dns   func(names) dnssim.Handler // instead of the zone
	cold  bool                       // delivery does not wait until the domains were asked for
	apart bool                       // Postfix is to look up each domain itself

	want      []string      // alone: an outcome for each recipient, or one for all; see outcome
	wantNext  []string      // with the other exchanger; nil: those deferred are delivered there
	stays     bool          // those deferred do not move
	nextMoves bool          // with another exchanger everybody is delivered there
	dead      bool          // nobody listens where the best exchanger should be
	noMail    bool          // the best exchanger gets no MAIL
	rest      time.Duration // before the second message
	copies    []int         // that arrive, alone; nil: as many as the outcomes say

	conns     int // connections that the best exchanger gets from the message; 0: one; none: -1
	connsNext int // the same with another exchanger; 0: as conns
	then      then
	thenNext  then          // with another exchanger; 0: as then
	careful   bool          // the second message is not sent in a group of commands
	group     bool          // the second message is sent in a group of commands
	within    time.Duration // in memory: when the last recipient is told

	learned string      // in memory: part of what the engine knows of the host then
	link    netsim.Link // in memory: the way to the best exchanger
	where   where
	long    bool // minutes pass: see the package's documentation
	setup   setup

	play func(*play) // instead of message and answer
}

// A where says who can play a row.
type where uint8

const (
	everywhere where = iota
	inMemory         // it needs what sockets cannot do, or hundreds of rows would cost too much there
	onSockets        // it needs the program
)

// A then is what becomes of a second message to d@one.test, sent when all recipients of the first one have been told.
type then uint8

const (
	notAsked then = iota
	same          // it takes a connection that is there
	fresh         // it takes a new one
	down          // the best exchanger is not dialled for it
)

// none as a number of connections is 0, which a row that says nothing does not mean.
const none = -1

// some as a number of connections is not judged.
const some = -2

// A setup is what of a mailer's configuration a row needs to be otherwise. Rows with equal ones share a process.
type setup struct {
	sessionsPerHost int
	perTransaction  int
	always          bool          // piggyback whatever was learned
	chunkingFrom    int64         // octets; 0 is the default
	tls             string        // "off", "required" or "verified" for all destinations; "" is opportunistic
	dane, sts       bool          // policies of receivers are looked for
	private         bool          // REQUIRETLS is offered to the host MTA; of the program only
	internal        string        // addresses that are never dialled; in memory only
	idle            time.Duration // of sessions; 0 is the default
	smtp            string        // more lines of [smtp], of the program only
	tables          string        // more tables, of the program only
	own             bool          // a process for this row alone
}

// everybody is who a message is for.
func everybody() []string { return []string{"a@one.test", "b@one.test", "c@two.test"} }

// neighbours come in one order, whatever the DNS does: they are of one domain.
func neighbours() []string { return []string{"a@one.test", "b@one.test", "c@one.test"} }

// overSockets is the row where packets and processes take the time that they take. Whether recipients of two domains get into one
// transaction, and who of them is first, is decided there by when the answers of the DNS are read, and so by how busy the machine is:
// unless a row says for whom it is, or has a zone of its own, all are of one domain.
func (r row) overSockets() row {
	if r.to == nil && r.zone == "" && r.dns == nil {
		r.to = neighbours()
	}
	return r
}

// recipients is who this row's message is for.
func (r row) recipients() []string {
	if r.to != nil {
		return r.to
	}
	return everybody()
}

// all is the same outcome for everybody.
func all(outcome string) []string { return []string{outcome} }

// spread gives each recipient its outcome.
func spread(outcomes []string, n int) []string {
	if len(outcomes) == 1 {
		return slices.Repeat(outcomes, n)
	}
	return outcomes
}

// wanted is what the recipients are told, and who of them moves to the other exchanger.
func (r row) wanted(next bool) (want []string, moved []string) {
	to := r.recipients()
	want = spread(r.want, len(to))
	if !next || r.stays {
		return want, nil
	}
	if r.nextMoves {
		return slices.Repeat(all("OK"), len(to)), to
	}
	if r.wantNext != nil {
		return spread(r.wantNext, len(to)), nil
	}
	want = slices.Clone(want)
	for i := range want {
		if strings.HasPrefix(want[i], "T") {
			want[i] = "OK"
			moved = append(moved, to[i])
		}
	}
	return want, moved
}

// connections is how many the best exchanger gets.
func (r row) connections(next bool) int {
	n := r.conns
	if next && r.connsNext != 0 {
		n = r.connsNext
	}
	switch n {
	case 0:
		return 1
	case none:
		return 0
	}
	return n
}

// second is what becomes of the second message.
func (r row) second(next bool) then {
	if next && r.thenNext != notAsked {
		return r.thenNext
	}
	return r.then
}

// variants are the worlds in which a row is played: alone (false), and with another exchanger (true).
func (r row) variants() []bool {
	if r.zone != "" || r.dns != nil || r.play != nil {
		return []bool{false}
	}
	return []bool{false, true}
}

// name is what a row is called.
func (r row) name() string { return r.id + " " + r.rule }

// records is the zone of a row.
func (r row) records(next bool) string {
	if r.zone != "" {
		return r.zone + r.extra
	}
	var b strings.Builder
	for _, domain := range []string{"one.test.", "two.test."} {
		b.WriteString(domain + " MX 10 mx1.test.\n")
		if next {
			b.WriteString(domain + " MX 20 mx2.test.\n")
		}
	}
	b.WriteString("mx1.test. A 192.0.2.1\nmx2.test. A 192.0.2.2\ntest. SOA ns.test. host.test. 1 2 3 4 300\n")
	return b.String() + r.extra
}

// handler answers questions about a row's names.
func (p *play) handler() (dnssim.Handler, error) {
	r, n := p.row, p.names
	if r.dns != nil {
		return r.dns(n), nil
	}
	zone, err := dnssim.Zone(p.identities.records(n.text(r.records(p.next)), p.world.port()))
	if err != nil {
		return nil, err
	}
	return func(q dns.Question, tcp bool) dnssim.Answer {
		a := zone(q, tcp)
		a.AD = r.signed
		if r.answer != nil {
			a = r.answer(n, n.question(q), tcp, a)
		}
		return a
	}, nil
}

// questionDomain is what a question is about, as a recipient's domain is written.
func questionDomain(q dns.Question) string { return strings.TrimSuffix(dns.CanonicalName(q.Name), ".") }
