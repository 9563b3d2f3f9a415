package conformance

import (
	"fmt"
	"strings"
	"time"
)

// A mailer delivers messages: smtpfeed, its engine alone, or somebody else.
type mailer interface {
	// deliver hands a message over and says what became of each recipient, in their order.
	deliver(message) ([]outcome, error)
	// learned is what it remembers of an exchanger's limits; known says that it can be asked.
	learned(exchanger string) (text string, known bool)
	// told says that its outcomes tell what is in doubt.
	told() bool
}

// A message is what a mailer is given.
type message struct {
	from    string
	to      []string
	content string
	budget  time.Duration   // 0: the mailer's own
	private bool            // REQUIRETLS
	lax     bool            // the header says that TLS is not required
	asked   <-chan struct{} // closed when the recipients' domains were asked for: time to end the message
}

// An outcome is what became of a recipient: its class is "OK", "T" (4xx), "P" (5xx) or "U": deferred, while the exchanger may
// have it. Over LMTP U looks like T. In a row it is written "T 4.4.2", or "T 4.4.2|4.3.2" where more than one enhanced code is
// right, or "T" for any.
type outcome struct {
	class   string
	status  string // enhanced code
	text    string // what is told of it
	latency time.Duration
	bad     string // why it should not have been told in this way; "" when it may
}

// String is as rows have it.
func (o outcome) String() string {
	if o.class == "OK" || o.status == "" {
		return o.class
	}
	return o.class + " " + o.status
}

// is says whether an outcome is what a row wants.
func (o outcome) is(want string, told bool) bool {
	class, statuses, _ := strings.Cut(want, " ")
	if class == "U" && !told {
		class = "T"
	}
	if o.class != class {
		return false
	}
	if statuses == "" {
		return true
	}
	for s := range strings.SplitSeq(statuses, "|") {
		if s == o.status {
			return true
		}
	}
	return false
}

// copiesOf is how many copies an outcome means.
func copiesOf(want string) int {
	if strings.HasPrefix(want, "OK") || strings.HasPrefix(want, "U") {
		return 1
	}
	return 0
}

// outcomeOfReply reads a reply of an LMTP server.
func outcomeOfReply(line string) outcome {
	o := outcome{text: line}
	words := strings.Fields(line)
	if len(words) > 1 && strings.Count(words[1], ".") == 2 {
		o.status = words[1]
	}
	if line == "" {
		return outcome{bad: "no reply"}
	}
	o.class = map[byte]string{'2': "OK", '4': "T", '5': "P"}[line[0]]
	switch {
	case !strings.Contains(" 250 450 451 452 550 554 ", " "+words[0]+" "):
		o.bad = fmt.Sprintf("%s is no code that every host MTA understands", words[0])
	case o.status == "" || o.status[0] != line[0]:
		o.bad = fmt.Sprintf("%q has no enhanced code of its class", line)
	case strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }):
		o.bad = fmt.Sprintf("%q is not printable ASCII", line)
	case len(line) > 510:
		o.bad = fmt.Sprintf("a reply line of %d octets", len(line))
	}
	return o
}
