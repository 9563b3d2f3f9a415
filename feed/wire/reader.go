package wire

import (
	"bytes"
	"fmt"
	"io"
)

// What a reply may take at most. RFC 5321 section 4.5.3.1.5 lets a line have 512 octets and sets no limit on lines; a peer
// beyond these bounds is broken or hostile.
const (
	MaxLine       = 2048     // octets of one line with its line end
	MaxReply      = 64 << 10 // octets of all lines of one reply with their line ends
	MaxReplyLines = 128
)

const (
	firstBuffer = 1024 // a session has one Reader and there are thousands of sessions
	keepText    = 256  // octets of text worth keeping between replies
	maxEmpty    = 100  // reads without an octet and without an error before the source is given up
)

// A Reader reads replies. Its memory is bounded by MaxLine and MaxReply whatever the peer sends: 1 KiB for most sessions. How
// the octets were cut into segments never changes what is returned. It is for one goroutine.
type Reader struct {
	src  io.Reader
	late error // what src returned together with octets: due when they are used up
	bad  error // *SyntaxError; sticky, for behind it no octet can be trusted

	buf        []byte
	start, end int // buf[start:end] was read and not parsed: never a whole line once parse has run, unless ready
	scanned    int // so many octets from start on have no line end

	part  part   // the reply whose lines are being parsed
	ready bool   // reply is complete and not yet returned; of part only the octets are left
	reply Reply  // zero unless ready
	last  string // the last text: servers say the same over and over
}

// A part is the beginning of a reply.
type part struct {
	code     int
	enhanced Enhanced
	lines    int
	octets   int    // of all its lines, with their line ends
	text     []byte // of a reply with more than one line
}

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader { return &Reader{src: r} }

// ReadReply returns the next reply. Errors: io.EOF when the peer ended between replies, io.ErrUnexpectedEOF inside one,
// *SyntaxError for anything that is not a reply (close then: RFC 5321 gives no way to find the next one), or r's own error,
// after which ReadReply may be called again and goes on where it was. A SyntaxError is returned as soon as the first bad
// line is complete, and ever after.
func (r *Reader) ReadReply() (Reply, error) {
	for {
		r.parse()
		if r.ready {
			return r.release(), nil
		}
		if r.bad != nil {
			return Reply{}, r.bad
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.Buffered() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Reply{}, err
		}
	}
}

// Buffered is how many octets were read and belong to no reply returned so far. It must be 0 at a synchronisation point.
func (r *Reader) Buffered() int { return r.end - r.start + r.part.octets }

// Pending says that a complete reply, or an error, can be returned without reading from the peer.
func (r *Reader) Pending() bool {
	r.parse()
	return r.ready || r.bad != nil || r.late != nil
}

// parse moves whole lines from the buffer into part until a reply is complete, a line is bad or no whole line is left.
func (r *Reader) parse() {
	for !r.ready && r.bad == nil {
		fresh := r.buf[r.start+r.scanned : r.end]
		i := bytes.IndexByte(fresh, '\n')
		if i < 0 {
			r.scanned += len(fresh)
			if r.scanned >= MaxLine {
				r.fail(r.buf[r.start:r.end], "line too long")
			}
			return
		}
		line := r.buf[r.start : r.start+r.scanned+i+1]
		r.start += len(line)
		r.scanned = 0
		r.part.octets += len(line)
		r.takeLine(trimLineEnd(line))
	}
}

// trimLineEnd cuts CRLF, or the bare LF that some servers end their lines with.
func trimLineEnd(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// takeLine adds one line to part.
func (r *Reader) takeLine(line []byte) {
	s, text, reason := parseStatus(line)
	if reason != "" {
		r.fail(line, reason)
		return
	}
	p := &r.part
	if p.lines > 0 && s.code != p.code {
		// RFC 5321 section 4.2.1: "the reply code on each of the lines MUST be the same". Which one counts is a guess.
		r.fail(line, fmt.Sprintf("reply code changes from %d to %d within one reply", p.code, s.code))
		return
	}
	p.lines++
	if p.octets > MaxReply || s.more && p.lines >= MaxReplyLines {
		r.fail(line, "reply too long")
		return
	}
	p.code = s.code
	text = p.stripEnhanced(text)
	if p.lines == 1 && !s.more {
		r.complete(text) // nearly every reply: no copy
		return
	}
	if p.text == nil {
		p.text = make([]byte, 0, keepText)
	}
	if p.lines > 1 {
		p.text = append(p.text, '\n')
	}
	p.text = append(p.text, text...)
	if !s.more {
		r.complete(p.text)
	}
}

// stripEnhanced learns the enhanced code from the first line and cuts the same code from each line that has it: RFC 2034
// section 4 wants it on every line, and many servers put it on the first only.
func (p *part) stripEnhanced(text []byte) []byte {
	e, rest := cutEnhanced(text, p.code)
	if p.lines == 1 {
		p.enhanced = e
	}
	if e != p.enhanced {
		return text
	}
	return rest
}

// complete ends part: its last line was parsed. The octets stay counted until the reply is returned.
func (r *Reader) complete(text []byte) {
	if string(text) != r.last { // no allocation here, and none at all when the server repeats itself
		r.last = string(text)
	}
	r.reply = Reply{Code: r.part.code, Enhanced: r.part.enhanced, Text: r.last}
	if len(r.last) > keepText {
		r.last = ""
	}
	r.ready = true
	spare := r.part.text[:0]
	if cap(spare) > keepText {
		spare = nil
	}
	r.part = part{octets: r.part.octets, text: spare}
}

// release gives the complete reply away.
func (r *Reader) release() Reply {
	reply := r.reply
	r.reply, r.ready, r.part.octets = Reply{}, false, 0
	return reply
}

// fail makes the error that all further calls return.
func (r *Reader) fail(line []byte, reason string) {
	r.bad = &SyntaxError{Line: Clean(string(line), maxErrorText), Reason: reason}
	r.part.text = nil
}

// fill reads once from the source. The buffer has room for more: parse has refused a line that fills it at its largest.
func (r *Reader) fill() error {
	if err := r.late; err != nil {
		r.late = nil
		return err
	}
	r.makeRoom()
	for range maxEmpty {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			r.late = err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom moves what is unparsed, less than one line, to the front of the buffer, and doubles a buffer that is full.
func (r *Reader) makeRoom() {
	r.end = copy(r.buf, r.buf[r.start:r.end])
	r.start = 0
	if r.end < len(r.buf) {
		return
	}
	larger := make([]byte, min(max(firstBuffer, 2*len(r.buf)), MaxLine))
	copy(larger, r.buf)
	r.buf = larger
}

// A SyntaxError is a peer's line that is no SMTP reply.
type SyntaxError struct {
	Line   string // its beginning, cleaned to printable ASCII
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("no SMTP reply: %s: %q", e.Reason, e.Line)
}
