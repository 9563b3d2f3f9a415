package crash

import (
	"bytes"
	"strconv"
	"strings"
)

// A dialogue is what an SMTP connection carried, as an observer on the wire reads it: which transactions came to the end of their
// data, and which of them a living process has seen answered. It knows nothing of what smtpfeed thinks.
type dialogue struct {
	word   []byte    // of the command that is not complete
	mode   mode      // of what comes next from us
	left   int64     // octets of the chunk under way
	last   bool      // it is the last one
	line   dot       // where in the content we are
	begun  []byte    // the first octets of the content
	flight *flight   // that commands belong to
	owed   []awaited // replies, the first one first
	reply  []byte    // the line of a reply that is not complete
	mails  int       // MAILs that were accepted
	early  int       // code of a reply that nothing was owed

	flights []*flight // those that came to the end of data
	octets  int       // that left
	fresh   []*flight // of flights, those that came in the latest write
}

type mode uint8

const (
	inCommand mode = iota
	inContent
	inChunk
)

// An awaited is a reply that the server owes.
type awaited struct {
	what   string // "MAIL"
	to     string // of RCPT
	flight *flight
}

// A flight is a transaction on the wire.
type flight struct {
	number  int    // of those whose MAIL was accepted
	message string // the beginning of its content
	to      []string
	begun   bool // an octet of its content has left
	ending  bool // an octet of the end of data has left, or may have
	dot     int  // octets before that one
	code    int  // of the final reply; 0 as long as it was not read completely
}

// uncertain says that nobody here knows whether the server has the message.
func (f *flight) uncertain() bool { return f.ending && f.code == 0 }

func newDialogue() *dialogue {
	return &dialogue{owed: []awaited{{what: "greeting"}}}
}

// said ends a write of which so many octets did not leave, and returns the transactions that came to their end of data in it.
// When not all left, the connection is of no more use.
func (d *dialogue) said(not int) (ended []*flight) {
	ended, d.fresh = d.fresh, nil
	if not == 0 {
		return ended
	}
	d.octets -= not
	for _, f := range append(ended, d.flight) {
		if f != nil && f.ending && f.dot >= d.octets {
			f.ending = false
		}
	}
	return nil
}

// says takes what is about to leave.
func (d *dialogue) says(p []byte) {
	for before := len(p); len(p) > 0; before = len(p) {
		switch d.mode {
		case inCommand:
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				d.word = append(d.word, p...)
				d.octets += len(p)
				return
			}
			d.word = append(d.word, p[:i+1]...)
			p = p[i+1:]
			d.command(strings.TrimRight(string(d.word), "\r\n"))
			d.word = d.word[:0]
		case inContent:
			p = p[d.content(p):]
		case inChunk:
			p = p[d.chunk(p):]
		}
		d.octets += before - len(p)
	}
}

func (d *dialogue) command(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	a := awaited{what: verb, flight: d.flight}
	switch verb {
	case "MAIL":
		d.flight = &flight{}
		a.flight = d.flight
	case "RCPT":
		a.to = rest[strings.IndexByte(rest, '<')+1 : strings.IndexByte(rest, '>')]
	case "BDAT":
		size, last, _ := strings.Cut(rest, " ")
		d.left, _ = strconv.ParseInt(size, 10, 64)
		d.last, d.mode = last == "LAST", inChunk
		d.begun = d.begun[:0]
		return // its reply is owed when its octets have left
	}
	d.owed = append(d.owed, a)
}

// content takes octets behind DATA, and returns how many belong to it.
func (d *dialogue) content(p []byte) int {
	for i, c := range p {
		d.note(c)
		was := d.line
		d.line = d.line.next(c)
		switch {
		case d.line == dotAlone:
			d.flight.ending, d.flight.dot = true, d.octets+i
		case was == dotAlone && c != '\r':
			d.flight.ending = false // it was one that is stuffed
		}
		if d.line == dotEnd {
			d.end()
			return i + 1
		}
	}
	return len(p)
}

// chunk takes octets behind BDAT.
func (d *dialogue) chunk(p []byte) int {
	n := min(d.left, int64(len(p)))
	for _, c := range p[:n] {
		d.note(c)
	}
	if d.left -= n; d.left > 0 {
		return int(n)
	}
	d.mode = inCommand
	if d.last {
		d.flight.ending, d.flight.dot = true, d.octets+int(n)-1
		d.end()
	} else {
		d.owed = append(d.owed, awaited{what: "BDAT", flight: d.flight})
	}
	return int(n)
}

// note keeps the beginning of the content.
func (d *dialogue) note(c byte) {
	d.flight.begun = true
	if len(d.begun) < maxBeginning {
		d.begun = append(d.begun, c)
	}
}

// maxBeginning is enough to hold a content's first line.
const maxBeginning = 16

// end is the last octet of the end of data.
func (d *dialogue) end() {
	f := d.flight
	d.mode = inCommand
	f.message, _, _ = strings.Cut(string(d.begun), "\r\n")
	d.begun = d.begun[:0]
	if f.code, d.early = d.early, 0; f.code == 0 {
		d.owed = append(d.owed, awaited{what: "end", flight: f})
	}
	d.flights = append(d.flights, f)
	d.fresh = append(d.fresh, f)
}

// heard takes what a living process has read, and returns the transactions that were answered in it.
func (d *dialogue) heard(p []byte) (answered []*flight) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			d.reply = append(d.reply, p...)
			return answered
		}
		d.reply = append(d.reply, p[:i+1]...)
		p = p[i+1:]
		if len(d.reply) > 3 && d.reply[3] != '-' {
			code, _ := strconv.Atoi(string(d.reply[:3]))
			if f := d.answer(code); f != nil {
				answered = append(answered, f)
			}
		}
		d.reply = d.reply[:0]
	}
	return answered
}

// answer is a complete reply: the transaction that it ends, if it is a final one.
func (d *dialogue) answer(code int) *flight {
	if len(d.owed) == 0 {
		d.early = code // 421, or a refusal in the middle of a content, which is read as the reply to its end
		return nil
	}
	a := d.owed[0]
	d.owed = d.owed[1:]
	switch good := code/100 == 2; {
	case a.what == "MAIL" && good:
		d.mails++
		a.flight.number = d.mails
	case a.what == "RCPT" && good:
		a.flight.to = append(a.flight.to, a.to)
	case a.what == "DATA" && code/100 == 3:
		d.mode, d.line, d.early = inContent, dotStart, 0
	case a.what == "end":
		a.flight.code = code
		return a.flight
	}
	return nil
}

// A dot is how far a content is into CRLF.CRLF.
type dot uint8

const (
	dotText  dot = iota // within a line
	dotCR               // behind a CR
	dotStart            // at the beginning of a line
	dotAlone            // behind a dot there
	dotCR2              // behind the CR after it
	dotEnd              // behind the LF after that
)

func (d dot) next(c byte) dot {
	switch {
	case d == dotStart && c == '.':
		return dotAlone
	case d == dotAlone && c == '\r':
		return dotCR2
	case d == dotCR2 && c == '\n':
		return dotEnd
	case d == dotCR && c == '\n':
		return dotStart
	case c == '\r':
		return dotCR
	default:
		return dotText
	}
}
