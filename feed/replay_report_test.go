package feed

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/stretchr/testify/require"
)

// parseReport reads a report; "ok" and "ok*N" stand for a transaction in which everything was accepted.
func parseReport(t *testing.T, w []string) *report {
	r := &report{transaction: transactionID(number(w[0])), transfer: 150 * time.Millisecond}
	for _, arg := range w[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "mail":
			r.mail = parseReply(t, commas(value)[0])
		case "rcpt":
			for _, v := range commas(value) {
				code, count, _ := strings.Cut(v, "*")
				n, _ := strconv.Atoi(count)
				for range max(n, 1) {
					r.rcpts = append(r.rcpts, parseReply(t, code))
				}
			}
		case "data":
			r.data = parseReply(t, commas(value)[0])
		case "final":
			r.final = parseReply(t, commas(value)[0])
		case "dotted":
			r.dotted = true
		case "local":
			r.local = true
		case "stage":
			r.stage = parseStage(t, value)
		case "err":
			r.err = parseError(t, commas(value)[0])
		}
	}
	return r
}

// parseError reads an error back. Two kinds mean something to the engine: a peer that does not keep to SMTP, and a deadline.
func parseError(t *testing.T, text string) error {
	if rest, ok := strings.CutPrefix(text, "protocol error at "); ok {
		at, reason, _ := strings.Cut(rest, ": peer ")
		return &protocolError{stage: parseStage(t, at), reason: reason}
	}
	if at, ok := strings.CutPrefix(text, "timed out at "); ok {
		return brokenAt(parseStage(t, at), os.ErrDeadlineExceeded)
	}
	return errors.New(text)
}

func parseReply(t *testing.T, s string) wire.Reply {
	r, err := wire.NewReader(strings.NewReader(s + "\r\n")).ReadReply()
	require.NoError(t, err, s)
	return r
}

func parseStage(t *testing.T, s string) stage {
	for st := stageConnect; st <= stageQuit; st++ {
		if st.String() == s {
			return st
		}
	}
	t.Fatalf("unknown stage %q", s)
	return 0
}

func parseClosing(t *testing.T, w []string) closing {
	c := closing{stage: parseStage(t, w[0])}
	for _, arg := range w[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "reply":
			c.reply = parseReply(t, commas(value)[0])
		case "err":
			c.err = parseError(t, commas(value)[0])
		case "local":
			c.local = true
		case "unbound":
			c.unbound = true
		case "noroute":
			c.noRoute = true
		default:
			parseTLSError(&c, key, value)
		}
	}
	return c
}
