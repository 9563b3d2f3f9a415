package killloop

import (
	"regexp"
	"strconv"
	"time"
)

// A Record is what the judge wants of smtpfeed's delivery record.
type Record struct {
	Time     time.Time `json:"time"`
	Envelope string    `json:"envelope"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Outcome  string    `json:"outcome"`
	Reply    string    `json:"reply"`
}

// Delivered is the message in which a recorder took the recipient.
func (r Record) Delivered() (id string, ok bool) {
	if r.Outcome != "delivered" {
		return "", false
	}
	return idIn(r.Reply)
}

// An Answer is an envelope whose final replies were all written to the host MTA, as smtpfeed's log says it.
type Answer struct {
	Time       time.Time
	Envelope   string
	Recipients int
}

// answered is a line of the log. A host that left did so before the last reply.
var answered = regexp.MustCompile(`^time=(\S+) level=INFO msg="lmtp: envelope answered" envelope=(\S+) .*` +
	` recipients=(\d+) .* unsettled=0 host_left=false `)

func answerIn(line string) (a Answer, ok bool) {
	f := answered.FindStringSubmatch(line)
	if f == nil {
		return a, false
	}
	at, err := time.Parse(time.RFC3339Nano, f[1])
	n, _ := strconv.Atoi(f[3]) // digits
	return Answer{at, f[2], n}, err == nil
}
