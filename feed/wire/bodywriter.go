package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"unicode/utf8"
)

// Chunks grow from the size of a short mail to one that is worth a system call; a large body is never copied to grow.
const (
	firstChunk = 4 << 10
	largeChunk = 256 << 10
)

// A BodyWriter makes a Body out of whatever the host MTA sent. How the content was cut into calls of Write makes no difference.
// The zero BodyWriter is ready to use.
//
// What differs between receivers must not leave us: some end a line at a bare LF or CR, some drop NUL, and each of them could
// see an end of data where others see text ("SMTP smuggling", CVE-2023-51764 and its like). RFC 5321 section 2.3.8: "SMTP
// client implementations MUST NOT transmit these characters except when they are intended as line terminators and then MUST
// ... transmit them only as a <CRLF> sequence." So a bare LF becomes CRLF, and a bare CR or a NUL becomes a space.
type BodyWriter struct {
	full   [][]byte // chunks that are full and already in sum
	chunk  []byte   // the chunk being filled
	sum    hash.Hash
	size   int64 // canonical octets
	memory int64 // of all chunks
	dots   int64
	mended int
	eight  bool
	cr     bool // the last octet was a CR, and is not stored until the next one tells what it is
	inLine bool // the line has an octet stored
}

// Write takes the next octets of the content (after the host's dot-stuffing was undone). It never fails.
func (w *BodyWriter) Write(p []byte) (int, error) {
	n := len(p)
	w.eight = w.eight || has8Bit(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, 0)
		if i < 0 {
			w.lines(p)
			break
		}
		w.lines(p[:i])
		w.flushCR()
		w.mend()
		p = p[i+1:]
	}
	return n, nil
}

// Size is how many octets of memory the content has taken so far, with what Stuffed is going to take.
func (w *BodyWriter) Size() int64 { return w.memory + stuffing(w.size, w.dots) }

// Body ends the content and returns it; the BodyWriter must not be used again.
func (w *BodyWriter) Body() *Body {
	w.flushCR()
	if w.inLine {
		w.mended++
		w.endLine()
	}
	w.closeChunk()
	b := &Body{raw: w.full, size: w.size, dots: w.dots, mended: w.mended, eight: w.eight, header8: w.eight && header8Bit(w.full)}
	if w.sum == nil {
		w.sum = sha256.New()
	}
	w.sum.Sum(b.digest[:0])
	b.stuff()
	return b
}

// lines takes octets without NUL.
func (w *BodyWriter) lines(p []byte) {
	if len(p) > 0 && p[0] != '\n' {
		w.flushCR()
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		w.line(p[:i])
		p = p[i+1:]
	}
	if n := len(p); n > 0 && p[n-1] == '\r' {
		w.cr = true
		p = p[:n-1]
	}
	w.text(p)
}

// line takes the rest of a line, without the LF that ended it.
func (w *BodyWriter) line(p []byte) {
	switch n := len(p); {
	case n > 0 && p[n-1] == '\r':
		p = p[:n-1]
	case w.cr: // then p is empty
		w.cr = false
	default:
		w.mended++
	}
	w.text(p)
	w.endLine()
}

// text stores a part of a line; a CR in it is a bare one.
func (w *BodyWriter) text(p []byte) {
	for {
		i := bytes.IndexByte(p, '\r')
		if i < 0 {
			w.store(p)
			return
		}
		w.store(p[:i])
		w.mend()
		p = p[i+1:]
	}
}

// flushCR settles that the last CR was a bare one.
func (w *BodyWriter) flushCR() {
	if w.cr {
		w.cr = false
		w.mend()
	}
}

// mend stores the space that stands for a bare CR or a NUL. Dropping the octet instead would join what it kept apart: a dot
// behind it would begin the line.
func (w *BodyWriter) mend() {
	w.mended++
	w.store([]byte{' '})
}

// store takes octets that belong into the line as they are.
func (w *BodyWriter) store(p []byte) {
	if len(p) == 0 {
		return
	}
	if !w.inLine && p[0] == '.' {
		w.dots++
	}
	w.inLine = true
	w.append(p)
}

func (w *BodyWriter) endLine() {
	w.inLine = false
	w.append([]byte("\r\n"))
}

func (w *BodyWriter) append(p []byte) {
	w.size += int64(len(p))
	for {
		room := cap(w.chunk) - len(w.chunk)
		if len(p) <= room {
			w.chunk = append(w.chunk, p...)
			return
		}
		w.chunk = append(w.chunk, p[:room]...)
		p = p[room:]
		w.nextChunk()
	}
}

// nextChunk puts a full chunk away and begins one of twice its size.
func (w *BodyWriter) nextChunk() {
	size := min(max(firstChunk, 2*cap(w.chunk)), largeChunk)
	w.closeChunk()
	w.chunk = make([]byte, 0, size)
	w.memory += int64(size)
}

// closeChunk puts the chunk away. The last one is clipped: thousands of bodies may be held, and most are short.
func (w *BodyWriter) closeChunk() {
	if len(w.chunk) == 0 {
		return
	}
	if w.sum == nil {
		w.sum = sha256.New()
	}
	w.sum.Write(w.chunk)
	if len(w.chunk) < cap(w.chunk) {
		w.chunk = append(make([]byte, 0, len(w.chunk)), w.chunk...)
	}
	w.full = append(w.full, slices.Clip(w.chunk))
	w.chunk = nil
}

// header8Bit looks at canonical content up to the first empty line.
func header8Bit(content [][]byte) bool {
	empty := true // the line, so far
	for _, chunk := range content {
		for _, c := range chunk {
			switch {
			case c >= utf8.RuneSelf:
				return true
			case c == '\n' && empty:
				return false
			case c != '\r':
				empty = c == '\n'
			}
		}
	}
	return false
}

// has8Bit looks at eight octets at a time where it can.
func has8Bit(p []byte) bool {
	for len(p) >= 8 {
		if binary.NativeEndian.Uint64(p)&0x8080808080808080 != 0 {
			return true
		}
		p = p[8:]
	}
	for _, c := range p {
		if c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}
