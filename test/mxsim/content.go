package mxsim

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// A content reads what follows DATA up to CRLF.CRLF, as a stream: it keeps a digest, not the octets.
type content struct {
	lineStart bool // the next octet begins a line
	size      int64
	hash      hash.Hash
	keep      bool
	kept      []byte
	bareCR    bool
	bareLF    bool
	nul       bool
	lastCR    bool // the last octet that addRaw took is a CR
}

func (c *content) begin(keep bool) {
	h := c.hash
	if h == nil {
		h = sha256.New()
	}
	h.Reset()
	*c = content{lineStart: true, hash: h, keep: keep}
}

var (
	endOfData  = []byte("\r\n.\r\n") // RFC 5321 section 4.1.1.4
	emptyData  = endOfData[2:]       // at the start of a line the CRLF before it was taken already
	lineEnd    = endOfData[:2]
	dottedLine = endOfData[:3]
)

// take consumes as much of b as can be judged without what follows, and says whether the end of data was in it.
func (c *content) take(b []byte) (used int, end bool) {
	if c.lineStart && bytes.HasPrefix(b, emptyData) {
		return len(emptyData), true
	}
	if i := bytes.Index(b, endOfData); i >= 0 {
		c.add(b[:i+2])
		return i + len(endOfData), true
	}
	// The last line may be the beginning of an end of data; a line that fills the buffer is not.
	i := bytes.LastIndex(b, lineEnd) + len(lineEnd)
	if i < len(lineEnd) {
		if len(b) <= maxLine {
			return 0, false
		}
		i = len(b) - 1 // its last octet may be half a CRLF
		c.add(b[:i])
		c.lineStart = false
		return i, false
	}
	c.add(b[:i])
	c.lineStart = true
	return i, false
}

// add takes octets that end at a line's end, or inside of a long line.
func (c *content) add(b []byte) {
	crlf := bytes.Count(b, lineEnd)
	c.bareLF = c.bareLF || bytes.Count(b, lineEnd[1:]) != crlf
	c.bareCR = c.bareCR || bytes.Count(b, lineEnd[:1]) != crlf
	c.nul = c.nul || bytes.IndexByte(b, 0) >= 0
	if c.lineStart && len(b) > 0 && b[0] == '.' {
		b = b[1:] // RFC 5321 section 4.5.2: dot-stuffing is undone
	}
	for {
		i := bytes.Index(b, dottedLine)
		if i < 0 {
			c.write(b)
			return
		}
		c.write(b[:i+2])
		b = b[i+3:]
	}
}

func (c *content) write(b []byte) {
	c.size += int64(len(b))
	c.hash.Write(b)
	if c.keep {
		c.kept = append(c.kept, b...)
	}
}

func (c *content) digest() (sum [32]byte) {
	c.hash.Sum(sum[:0])
	return sum
}

// faults are the rules that the content broke.
func (c *content) faults() []string {
	var f []string
	if c.bareCR || c.lastCR {
		f = append(f, "bare CR in content")
	}
	if c.bareLF {
		f = append(f, "bare LF in content")
	}
	if c.nul {
		f = append(f, "NUL in content")
	}
	return f
}
