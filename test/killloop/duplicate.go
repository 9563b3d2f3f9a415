package killloop

import (
	"fmt"
	"time"
)

// A Cause is how far a copy had come that was followed by another one.
type Cause string

const (
	// Unanswered copies were taken, and their 250 was not written when smtpfeed or the recorder was killed. Nobody can help it:
	// RFC 1047.
	Unanswered Cause = "unanswered"
	// Unread copies had their 250 written, and smtpfeed has no delivery record of them. If it died a moment later it may not have
	// read it, or not have got round to the ledger; if it lived it has forgotten something.
	Unread Cause = "unread"
	// HandedBack copies stand in smtpfeed's delivery record, the host MTA had read the replies to all of its envelope, and its
	// process was killed before it had noted them. The ledger remembers them for a while (ledger.linger); what comes again with another
	// text it cannot know.
	HandedBack Cause = "handed back"
	// Recorded copies stand in smtpfeed's delivery record, and so in the ledger before, and the host MTA had not read all
	// replies.
	Recorded Cause = "recorded"
)

// Causes are all of them.
var Causes = [...]Cause{Unanswered, Unread, HandedBack, Recorded}

// A Duplicate is a recipient who got a mail again.
type Duplicate struct {
	From, To      string
	First, Second string // the copies
	Cause         Cause
	Changed       bool          // the second copy has another content than the mail's first one
	Allowed       bool          // with a ledger too: the delivery, or its reply, was in flight when somebody was killed
	Age           time.Duration // of an Unread one: from the 250 until smtpfeed was killed; 0 if it lived
}

func (d Duplicate) String() string {
	return fmt.Sprintf("%s got %s as %s (%s, %v before a kill) and as %s", d.To, d.From, d.First, d.Cause, d.Age, d.Second)
}

// Count is how many duplicates have a cause.
func (v Verdict) Count(c Cause) (n int) {
	for _, d := range v.Duplicates {
		if d.Cause == c {
			n++
		}
	}
	return n
}

// Excess are the duplicates that a ledger does not allow.
func (v Verdict) Excess() (all []string) {
	for _, d := range v.Duplicates {
		if !d.Allowed {
			all = append(all, d.String())
		}
	}
	return all
}
