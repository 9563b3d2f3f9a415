package security

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// forged is what a receiver that sees an end before it obeys.
const forged = "MAIL FROM:<forged@sender.test>\r\nRCPT TO:<forged@victim.test>\r\nDATA\r\nSubject: forged\r\n\r\nforged\r\n"

// sender is everybody's.
const sender = "list-owner@sender.test"

// A content is one that some receiver takes for two.
type content struct{ name, octets string }

// lineEnds are what ends lines somewhere, with what stands before or between.
func lineEnds() []string {
	return []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\r\n\r", "\r\n\x00", "\n\x00", "\r\x00", "\x00\r\n", "\r\x00\n", "\x00\n"}
}

// dots are what is a dot alone to some.
func dots() []string { return []string{".", "\x00.", ".\x00", ". ", ".\t", "..", "\r."} }

// contents are all combinations of line ends before and behind a dot, with forged behind. Among them are those of SEC Consult's
// paper: outbound <LF>.<LF>, <LF>.<CRLF>, <CR>.<CR>, <CR>.<CRLF>, <CRLF>.<CR>, <CRLF>.<LF>, <CRLF><NUL>.<CRLF>, and inbound the same.
func contents() (all []content) {
	for _, before := range lineEnds() {
		for _, dot := range dots() {
			for _, behind := range lineEnds() {
				all = append(all, content{fmt.Sprintf("%q", before+dot+behind), "Subject: x\r\n\r\ntext" + before + dot + behind + forged})
			}
		}
	}
	for _, first := range append(dots(), lineEnds()...) { // at the very begin, and at the very end
		all = append(all, content{fmt.Sprintf("begin %q", first), first + "\r\n" + forged}, content{fmt.Sprintf("end %q", first), "text" + first})
	}
	return all
}

// canonical is the content that a host MTA's content becomes, octet by octet as the documentation says it: CRLF stays, a bare LF is
// CRLF, a bare CR or a NUL is a blank, and the last line has its end.
func canonical(octets string) string {
	var b strings.Builder
	for i := 0; i < len(octets); i++ {
		switch c := octets[i]; {
		case c == '\r' && i+1 < len(octets) && octets[i+1] == '\n':
			b.WriteString("\r\n")
			i++
		case c == '\n':
			b.WriteString("\r\n")
		case c == '\r', c == 0:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	if text := b.String(); text != "" && !strings.HasSuffix(text, "\r\n") {
		b.WriteString("\r\n")
	}
	return b.String()
}

// complete is a content as a host MTA's lines have it: the last one ends, for the end of data stands behind a line.
func complete(octets string) string {
	if !strings.HasSuffix(octets, "\r\n") {
		return octets + "\r\n"
	}
	return octets
}

// gets asserts that each receiver has taken one letter: with the envelope that was meant, and octets behind its invitation.
func gets(t *testing.T, all []*receiver, want string, what content) {
	t.Helper()
	for i, r := range all {
		got := r.taken()
		require.Len(t, got, 1, "%s: a receiver of %s sees one message", what.name, r.name)
		require.Equal(t, fmt.Sprintf("RCPT TO:<a@d%d.test>", i), got[0].commands[1], "%s: to whom it was sent", what.name)
		require.Len(t, got[0].commands, 3, "%s: MAIL, RCPT, and DATA or BDAT", what.name)
		require.True(t, want == got[0].octets, "%s: a receiver of %s gets %.200q, not %.200q", what.name, r.name, want, got[0].octets)
	}
}

// nothingForged asserts that no receiver was told a command that is not smtpfeed's own.
func nothingForged(t *testing.T, all []*receiver) {
	t.Helper()
	for _, r := range all {
		for _, line := range r.heard() {
			require.NotContains(t, line, "forged", "a receiver of %s obeys nothing of a content", r.name)
			require.NoError(t, grammatical(line), "each line that a receiver of %s takes for a command is one", r.name)
		}
	}
}

// What follows would prove nothing with receivers that are not what they are called.
func TestReceiversAreLenient(t *testing.T) {
	endsEarly := func(l leniency, sent string) bool {
		d := &dialogue{receiver: &receiver{leniency: l}, buf: []byte(sent)}
		end := d.ended(0)
		require.Positive(t, end, "a receiver of %s finds an end in %q", l.name, sent)
		return end < len(sent)
	}
	for i, l := range leniencies() {
		early := 0
		for _, c := range contents() {
			if endsEarly(l, complete(c.octets)+".\r\n") { // nothing stuffed
				early++
			}
			if i == 0 {
				require.False(t, endsEarly(l, wire(complete(c.octets))), "who keeps to RFC 5321 finds the end where it is in %s", c.name)
			}
		}
		assert.Greater(t, early, len(dots()), "a receiver of %s takes some contents for two messages", l.name)
	}
}

func TestEveryReceiverSeesOneMessage(t *testing.T) {
	for _, way := range []struct {
		name, smtp string
		chunking   bool
		octets     func(canonical string) string // behind the invitation
	}{
		{"by DATA", "chunking_from = \"0\"", false, wire},
		{"by BDAT", "chunking_from = \"1\"", true, func(s string) string { return s }},
	} {
		t.Run(way.name, func(t *testing.T) {
			all := receivers(t, way.chunking)
			routes, to := routesTo(all)
			d := start(t, setting{routes: routes, smtp: "prohibited = []\ngather_time = \"0s\"\n" + way.smtp})
			h := lhlo(t, d)
			for _, c := range contents() {
				octets := complete(c.octets)
				final := h.transaction(sender, to, wire(octets))
				delivered(t, final)
				gets(t, all, way.octets(canonical(octets)), c)
			}
			h.quit()
			nothingForged(t, all)
			assert.NotContains(t, d.records(t), "forged", "nor is anything forged on record")
		})
	}
}
