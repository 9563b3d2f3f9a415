package mxsim

import (
	"bytes"
	"strconv"
	"strings"
)

// A chunk is a BDAT command whose octets are being read (RFC 3030 section 2).
type chunk struct {
	open   bool  // its octets are still coming
	left   int64 // of them
	size   int64
	last   bool
	refuse string // the reply behind octets that are thrown away; "" keeps them
}

// bdat handles a BDAT command; its octets follow the command line at once. RFC 3030 section 2: "If a failure occurs after a BDAT
// command is received, the receiver-SMTP MUST accept and discard the associated message data before sending the appropriate 5XX or
// 4XX code."
func (x *session) bdat(line, rest []byte) {
	c, ok := parseChunk(rest)
	if !ok {
		x.violation("malformed BDAT", line)
		x.reply("501 5.5.4 syntax: BDAT size [LAST]")
		x.afterChunk() // how many octets follow is not known: none is as good a guess as any
		return
	}
	if x.envelope.early(x.now) && x.txn.open {
		// RFC 3030 section 2 has BDAT follow accepted recipients: who has not read which were, cannot know.
		x.violation("BDAT before the replies to RCPT", line)
	}
	switch {
	case !x.offer().chunking:
		x.violation("BDAT was not offered", line)
		c.refuse = "502 5.5.1 BDAT was not offered"
	case !x.txn.open:
		c.refuse = "503 5.5.1 need MAIL"
	case len(x.txn.to) == 0:
		c.refuse = "503 5.5.1 no valid recipients"
	case x.txn.chunks == 0:
		x.content.begin(x.s.c.KeepContent)
		fallthrough
	default:
		x.txn.chunks++
	}
	x.chunk = c
	x.takeChunk() // one of no octets is over already
}

// parseChunk reads "size [LAST]". RFC 3030 section 2: chunk-size is 1*DIGIT.
func parseChunk(b []byte) (c chunk, ok bool) {
	words := strings.Fields(string(b))
	if len(words) == 0 || len(words) > 2 {
		return c, false
	}
	size, err := strconv.ParseUint(words[0], 10, 63)
	if err != nil {
		return c, false
	}
	c = chunk{open: true, left: int64(size), size: int64(size), last: len(words) == 2}
	return c, !c.last || strings.EqualFold(words[1], "LAST")
}

// takeChunk consumes octets of the chunk under way, and answers it when they have all come.
func (x *session) takeChunk() {
	b := x.buf[x.r:x.w]
	b = b[:min(int64(len(b)), x.chunk.left)]
	x.r += len(b)
	x.chunk.left -= int64(len(b))
	if x.chunk.refuse == "" {
		x.content.addRaw(b)
	}
	if x.chunk.left > 0 {
		return
	}
	x.chunk.open = false
	switch {
	case x.chunk.refuse != "":
		x.reply(x.chunk.refuse)
	case x.chunk.last:
		x.final()
	default:
		x.reply("250 2.0.0 " + strconv.FormatInt(x.chunk.size, 10) + " octets received")
	}
	x.afterChunk()
}

// afterChunk says that without PIPELINING nothing may follow a chunk's octets before their reply.
func (x *session) afterChunk() {
	if !x.offer().pipelining {
		x.syncPoint("BDAT (PIPELINING was not offered)")
	}
}

// addRaw takes octets as they are, in pieces that may be cut anywhere: what BDAT carries is counted, and not stuffed.
func (c *content) addRaw(b []byte) {
	if len(b) == 0 {
		return
	}
	crlf, cr, lf := bytes.Count(b, lineEnd), bytes.Count(b, lineEnd[:1]), bytes.Count(b, lineEnd[1:])
	if c.lastCR { // of the piece before: not judged yet
		cr++
		if b[0] == '\n' {
			crlf++
		}
	}
	c.lastCR = b[len(b)-1] == '\r'
	if c.lastCR {
		cr--
	}
	c.bareCR = c.bareCR || cr != crlf
	c.bareLF = c.bareLF || lf != crlf
	c.nul = c.nul || bytes.IndexByte(b, 0) >= 0
	c.write(b)
}
