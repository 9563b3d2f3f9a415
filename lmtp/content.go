package lmtp

import (
	"bytes"
	"io"
)

// beginContent is called when the host was told to send its content.
func (c *conn) beginContent() { c.inContent = true }

// readContent gives the content to take, piece by piece and without its dot-stuffing, up to its end. After an error the
// connection has ended: nobody can tell any more where the content would.
func (c *conn) readContent(take func([]byte)) error {
	var f framing
	for {
		n, done := f.read(c.buf[c.r:c.w], take)
		c.r += n
		if done {
			c.inContent = false
			c.line = endOfData
			return nil
		}
		if err := c.awaitContent(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// A framing finds the end of a content, CRLF "." CRLF, and undoes the dot-stuffing (RFC 5321 section 4.5.2). A CR or LF alone
// ends no line here. The content's begin counts as the begin of a line.
type framing struct {
	state framingState
	cr    bool // inLine: the last octet was a CR
}

type framingState uint8

const (
	lineBegins framingState = iota // nothing of the line was seen
	inLine                         // something of it was
	dot                            // the line's first octet was a dot, which is not part of the content
	dotCR                          // and its second a CR, which is if no LF follows
)

// read takes input up to the end of the content; n octets of it, all unless done.
func (f *framing) read(in []byte, take func([]byte)) (n int, done bool) {
	for n < len(in) {
		switch f.state {
		case lineBegins:
			f.state, f.cr = inLine, false
			if in[n] == '.' {
				f.state = dot
				n++
			}
		case inLine:
			n += f.lines(in[n:], take)
		case dot:
			f.state = inLine
			if in[n] == '\r' {
				f.state = dotCR
				n++
			}
		case dotCR:
			if in[n] == '\n' {
				return n + 1, true
			}
			take(endOfLine[:1])
			f.state, f.cr = inLine, true
		}
	}
	return n, false
}

var (
	endOfLine  = []byte("\r\n")
	dottedLine = []byte("\r\n.")
)

// lines takes input as far as no line begins with a dot.
func (f *framing) lines(in []byte, take func([]byte)) (n int) {
	if f.cr && in[0] == '\n' { // a line end, cut in two
		take(in[:1])
		f.state, f.cr = lineBegins, false
		return 1
	}
	if i := bytes.Index(in, dottedLine); i >= 0 {
		take(in[:i+len(endOfLine)])
		f.state, f.cr = lineBegins, false
		return i + len(endOfLine)
	}
	take(in)
	f.cr = in[len(in)-1] == '\r'
	if bytes.HasSuffix(in, endOfLine) {
		f.state = lineBegins
	}
	return len(in)
}
