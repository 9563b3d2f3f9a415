package killloop

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Mail is what was submitted; its sender names it.
type Mail struct {
	From string
	To   []string
}

// Evidence is what is known of a round when it is over.
type Evidence struct {
	Mails   []Mail
	Entries []Entry  // the recorders'
	Records []Record // smtpfeed's
	Answers []Answer // also
	Deaths  []Death  // of smtpfeed, in order
	Agents  int      // how many processes of the host MTA were killed
	Dead    []string // names of recorders that were killed
}

// A Death is when a process was killed, and when it was seen to be gone, in nanoseconds since 1970.
type Death struct{ Killed, Gone int64 }

// A Verdict is what became of a round's mail.
type Verdict struct {
	Recipients int
	Copies     int         // that recorders have
	Missing    []string    // recipients without any
	Duplicates []Duplicate // each copy but a recipient's first one
	AtRisk     int         // copies that smtpfeed has no delivery record of
	Wrong      []string    // what must never be
}

// A copyOf is one recipient's of one message.
type copyOf struct{ id, to string }

// A takenMessage is a transaction of a recorder.
type takenMessage struct {
	Entry
	told int64 // when its 250 was written; 0 is never
}

// name is the recorder's.
func (m *takenMessage) name() string { return m.IDs[0][:strings.IndexByte(m.IDs[0], '-')] }

// A judge looks at a round.
type judge struct {
	Evidence
	Verdict
	taken    map[string]*takenMessage
	recorded map[copyOf][]transfer // by smtpfeed, as delivered; again when the host MTA sends it again
	answered map[transfer]bool
	digests  map[string]string // by sender: the contents that came first
}

// A transfer is an envelope of one of the round's smtpfeed processes: each counts from 1.
type transfer struct {
	process  int
	envelope string
}

// transfer is an envelope at a time.
func (j *judge) transfer(at time.Time, envelope string) transfer {
	i := slices.IndexFunc(j.Deaths, func(d Death) bool { return at.UnixNano() <= d.Gone })
	if i < 0 {
		i = len(j.Deaths)
	}
	return transfer{i, envelope}
}

// Judge looks at a round.
func Judge(e Evidence) Verdict {
	j := judge{
		Evidence: e,
		taken:    make(map[string]*takenMessage),
		recorded: make(map[copyOf][]transfer),
		answered: make(map[transfer]bool),
		digests:  make(map[string]string),
	}
	j.readTaken()
	j.readTold()
	j.readRecords()
	copies := j.collect()
	for _, m := range e.Mails {
		for _, to := range m.To {
			j.recipient(m.From, to, copies[copyOf{m.From, to}])
		}
	}
	return j.Verdict
}

func (j *judge) readTaken() {
	for _, e := range j.Entries {
		switch e.Kind {
		case Taken:
			j.taken[e.IDs[0]] = &takenMessage{Entry: e}
		case Broken:
			j.wrong("the protocol was broken: %s", e.What)
		}
	}
}

func (j *judge) readTold() {
	for _, e := range j.Entries {
		if e.Kind != Told {
			continue
		}
		for _, id := range e.IDs {
			if m := j.taken[id]; m != nil {
				m.told = e.At
			} else {
				j.wrong("%s was answered and not taken", id)
			}
		}
	}
}

// readRecords checks that what smtpfeed calls delivered is. The hosts refuse nothing, so nothing fails.
func (j *judge) readRecords() {
	for _, r := range j.Records {
		id, ok := r.Delivered()
		if !ok {
			if r.Outcome != "deferred" {
				j.wrong("%s's copy of %s is %s: %s", r.To, r.From, r.Outcome, r.Reply)
			}
			continue
		}
		if m := j.taken[id]; m == nil || m.From != r.From || !slices.Contains(m.To, r.To) {
			j.wrong("smtpfeed has %s's copy of %s as delivered by %q, where it is not", r.To, r.From, id)
		}
		c := copyOf{id, r.To}
		j.recorded[c] = append(j.recorded[c], j.transfer(r.Time, r.Envelope))
	}
	for _, a := range j.Answers {
		j.answered[j.transfer(a.Time, a.Envelope)] = true
	}
}

// collect sorts what was taken by sender and recipient, each in the order of time, and finds what nobody has submitted.
func (j *judge) collect() map[copyOf][]*takenMessage {
	expected := make(map[copyOf]bool) // by sender
	for _, m := range j.Mails {
		for _, to := range m.To {
			expected[copyOf{m.From, to}] = true
		}
	}
	copies := make(map[copyOf][]*takenMessage)
	for _, m := range j.inOrder() {
		if j.digests[m.From] == "" {
			j.digests[m.From] = m.Digest
		}
		for _, to := range m.To {
			if !expected[copyOf{m.From, to}] {
				j.wrong("%s got a mail of <%s> that nobody sent them", to, m.From)
			}
			copies[copyOf{m.From, to}] = append(copies[copyOf{m.From, to}], m)
		}
	}
	return copies
}

func (j *judge) inOrder() (all []*takenMessage) {
	for _, e := range j.Entries {
		if e.Kind == Taken {
			all = append(all, j.taken[e.IDs[0]])
		}
	}
	slices.SortStableFunc(all, func(a, b *takenMessage) int { return int(a.At - b.At) })
	return all
}

// recipient judges one recipient's copies of a mail.
func (j *judge) recipient(from, to string, copies []*takenMessage) {
	j.Recipients++
	j.Copies += len(copies)
	if len(copies) == 0 {
		j.Missing = append(j.Missing, to+" of "+from)
	}
	for i, m := range copies {
		if j.recorded[copyOf{m.IDs[0], to}] == nil {
			j.AtRisk++
		}
		if i+1 < len(copies) {
			d := j.duplicate(m, to)
			d.From, d.To, d.First, d.Second = from, to, m.IDs[0], copies[i+1].IDs[0]
			d.Changed = copies[i+1].Digest != j.digests[from]
			d.Allowed = d.Allowed && (d.Cause != HandedBack || d.Changed)
			j.Duplicates = append(j.Duplicates, d)
		}
	}
	j.content(from, to, copies)
}

// content checks what a recipient got. sendmail that is killed between the removals of a message's two files, when it has handed
// the message over, sends it again without its text: "<<< No Message Collected >>>".
func (j *judge) content(from, to string, copies []*takenMessage) {
	for i, m := range copies {
		if m.Digest == j.digests[from] || i > 0 && j.duplicate(copies[i-1], to).Cause == HandedBack {
			continue
		}
		j.wrong("%s got %s with another content, as %s", to, from, m.IDs[0])
	}
}

// duplicate says why a copy was followed by another one.
func (j *judge) duplicate(m *takenMessage, to string) Duplicate {
	death, died := j.death(m.Since)
	recorded := j.recorded[copyOf{m.IDs[0], to}]
	switch {
	case j.Agents > 0 && slices.ContainsFunc(recorded, func(x transfer) bool { return j.answered[x] }):
		return Duplicate{Cause: HandedBack, Allowed: true}
	case recorded != nil:
		return Duplicate{Cause: Recorded}
	case m.told == 0:
		return Duplicate{Cause: Unanswered, Allowed: died || slices.Contains(j.Dead, m.name())}
	case !died:
		return Duplicate{Cause: Unread}
	case m.told >= death.Killed:
		return Duplicate{Cause: Unanswered, Allowed: true}
	default:
		return Duplicate{Cause: Unread, Allowed: true, Age: time.Duration(death.Killed - m.told)}
	}
}

// death is that of the smtpfeed that had a session since then: the next one. Another is started when this one is gone.
func (j *judge) death(since int64) (d Death, died bool) {
	i := slices.IndexFunc(j.Deaths, func(d Death) bool { return d.Gone >= since })
	if i < 0 {
		return Death{}, false
	}
	return j.Deaths[i], true
}

func (j *judge) wrong(format string, args ...any) {
	j.Wrong = append(j.Wrong, fmt.Sprintf(format, args...))
}
