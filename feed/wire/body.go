package wire

import "bytes"

// sliceHeader is the memory of one element of Body.stuffed on a 64-bit machine.
const sliceHeader = 24

// A Body is one message's content: canonical (every line ends in CRLF, no bare CR, no bare LF, no NUL), immutable, shared by
// every session that sends it. Both views below are made once, and share one memory unless dots stand too close (see Stuffed).
// A content without any octet has neither segments nor a CRLF. The zero Body is no content: BodyWriter makes bodies.
type Body struct {
	raw     [][]byte
	stuffed [][]byte
	size    int64
	dots    int64 // lines that begin with a dot
	mended  int
	digest  [32]byte
	eight   bool
	header8 bool
}

// Size is the number of octets of the canonical content, without dot-stuffing and without the end of data.
func (b *Body) Size() int64 { return b.size }

// Digest is the SHA-256 of the canonical content.
func (b *Body) Digest() [32]byte { return b.digest }

// Has8Bit says that the content has an octet above 127.
func (b *Body) Has8Bit() bool { return b.eight }

// Header8Bit says that the header, which ends at the first empty line, has one. Headers of parts inside are not looked at.
func (b *Body) Header8Bit() bool { return b.header8 }

// Mended is how many octets or line ends the content had to be changed in to be canonical: each bare LF, bare CR and NUL, and
// a last line without its CRLF. Where it is not 0, a DKIM signature may have been broken.
func (b *Body) Mended() int { return b.mended }

// Raw is the canonical content in order, as for BDAT. The caller must not write to the slices, nor to the outer slice.
func (b *Body) Raw() [][]byte { return b.raw }

// Stuffed is the content with every line that begins with a dot given one more (RFC 5321 section 4.5.2), without the end of
// data. The caller must not write to the slices, nor to the outer slice (net.Buffers writes to it: give it a copy). It shares
// Raw's memory, but for a content that is mostly dots: then a copy is smaller than a list of its pieces.
func (b *Body) Stuffed() [][]byte { return b.stuffed }

// StuffedSize is the number of octets of Stuffed.
func (b *Body) StuffedSize() int64 { return b.size + b.dots }

// Memory is how many octets of memory the body holds, for a budget of all bodies: Size, and what Stuffed takes beyond it.
func (b *Body) Memory() int64 { return b.size + stuffing(b.size, b.dots) }

// stuffing is the memory that the stuffed view takes for itself: the smaller of a list of pieces and a copy.
func stuffing(size, dots int64) int64 {
	if dots == 0 {
		return 0
	}
	return min(dots*sliceHeader, size+dots)
}

// stuff makes the stuffed view.
func (b *Body) stuff() {
	if b.dots == 0 {
		b.stuffed = b.raw
		return
	}
	dense := b.dots*sliceHeader > b.size+b.dots
	if !dense {
		b.stuffed = make([][]byte, 0, len(b.raw)+int(b.dots))
	}
	bol := true // the next octet begins a line
	for _, chunk := range b.raw {
		if dense {
			b.stuffed = append(b.stuffed, copyStuffed(chunk, bol))
		} else {
			b.stuffed = cutAtDots(b.stuffed, chunk, bol)
		}
		bol = chunk[len(chunk)-1] == '\n'
	}
}

// cutAtDots appends chunk to list in pieces: one ends behind each dot that begins a line, and the next begins again at that
// dot. So the dot is sent twice and no octet is copied.
func cutAtDots(list [][]byte, chunk []byte, bol bool) [][]byte {
	for {
		i := indexDot(chunk, bol)
		if i < 0 {
			return append(list, chunk)
		}
		list = append(list, chunk[:i+1:i+1])
		chunk, bol = chunk[i:], false
	}
}

// copyStuffed returns a stuffed copy of chunk.
func copyStuffed(chunk []byte, bol bool) []byte {
	out := make([]byte, 0, len(chunk)+bytes.Count(chunk, []byte("\n."))+1)
	for {
		i := indexDot(chunk, bol)
		if i < 0 {
			return append(out, chunk...)
		}
		out = append(out, chunk[:i+1]...)
		chunk, bol = chunk[i:], false
	}
}

// indexDot is the index of the first dot in p that begins a line, or -1; bol says that p itself begins one.
func indexDot(p []byte, bol bool) int {
	if bol && len(p) > 0 && p[0] == '.' {
		return 0
	}
	if i := bytes.Index(p, []byte("\n.")); i >= 0 {
		return i + 1
	}
	return -1
}
