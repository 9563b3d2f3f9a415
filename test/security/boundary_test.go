package security

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// boundaries are sizes at which smtpfeed cuts something: its buffers for what it reads (32 KiB, and what net.Buffers and TLS would use),
// and the chunks that a content is held in (4 KiB, 8 KiB, ... 256 KiB, one behind the other).
func boundaries() []int {
	all := []int{4 << 10, 16 << 10, 32 << 10}
	for size, sum := 4<<10, 0; size <= 256<<10; size *= 2 {
		sum += size
		all = append(all, sum)
	}
	return all
}

// padding is n octets of lines.
func padding(n int) string {
	const line = "0123456789012345678901234567890123456789012345678901234567890\r\n"
	text := strings.Repeat(line, n/len(line))
	if rest := n - len(text); rest > 0 {
		text += strings.Repeat("x", rest)
	}
	return text
}

// Whatever stands across a boundary, in each of its positions: what is held in two pieces is judged as one.
func TestEndsOfDataAcrossBoundaries(t *testing.T) {
	hostile := []string{"\r\n.\r\n", "\n.\n", "\r.\r\n", "\r\n\x00.\r\n"}
	for _, way := range []struct {
		name, smtp string
		chunking   bool
		octets     func(canonical string) string
	}{
		{"by DATA", "chunking_from = \"0\"", false, wire},
		{"by BDAT", "chunking_from = \"1\"", true, func(s string) string { return s }},
	} {
		t.Run(way.name, func(t *testing.T) {
			all := []*receiver{receive(t, leniencies()[0], way.chunking), receive(t, leniencies()[8], way.chunking)}
			routes, to := routesTo(all)
			d := start(t, setting{routes: routes, smtp: "prohibited = []\ngather_time = \"0s\"\n" + way.smtp})
			h := lhlo(t, d)
			for _, boundary := range boundaries() {
				for _, end := range hostile {
					for before := range len(end) + 1 {
						octets := complete(padding(boundary-before) + end + forged)
						delivered(t, h.transaction(sender, to, wire(octets)))
						gets(t, all, way.octets(canonical(octets)), content{name: fmt.Sprintf("%q at %d-%d", end, boundary, before)})
					}
				}
			}
			h.quit()
			nothingForged(t, all)
		})
	}
}

// How the host MTA's octets come in makes no difference: one by one, or cut anywhere.
func TestEndsOfDataInPieces(t *testing.T) {
	all := []*receiver{receive(t, leniencies()[0], false), receive(t, leniencies()[8], false)}
	routes, to := routesTo(all)
	h := lhlo(t, start(t, setting{routes: routes, smtp: "prohibited = []\ngather_time = \"0s\"\n"}))
	octets := complete("text\r\n.\r\n..\r\n\n.\n\r.\r\r\n\x00.\r\n.\r.\n" + forged)
	for _, size := range []int{1, 2, 3, 5} {
		h.send("MAIL FROM:<" + sender + ">\r\nRCPT TO:<" + strings.Join(to, ">\r\nRCPT TO:<") + ">\r\nDATA\r\n")
		for range len(to) + 1 {
			h.expect("250 ")
		}
		h.expect("354 ")
		for rest := wire(octets); rest != ""; {
			n := min(size, len(rest))
			h.send(rest[:n])
			rest = rest[n:]
		}
		for range to {
			h.expect("250 2.")
		}
		gets(t, all, wire(canonical(octets)), content{name: fmt.Sprintf("pieces of %d", size)})
	}
	h.quit()
	nothingForged(t, all)
}

// A content that the host MTA breaks off is no content, and what it had of commands in it was never any.
func TestContentsBrokenOffLeaveNothing(t *testing.T) {
	r := receive(t, leniencies()[8], false)
	d := start(t, setting{routes: []string{"d0.test " + r.at()}})
	for _, octets := range []string{"", "text", "text\r\n", "text\r\n.", "text\r\n.\r", "text\n.\n" + forged, "text\r\n.\r" + forged, "text\r\n..\r\n" + forged} {
		h := lhlo(t, d)
		h.send("MAIL FROM:<" + sender + ">\r\nRCPT TO:<a@d0.test>\r\nDATA\r\n")
		h.expect("250 ")
		h.expect("250 ")
		h.expect("354 ")
		h.send(octets)
		h.conn.Close()
	}
	h := lhlo(t, d)
	delivered(t, h.transaction(sender, []string{"a@d0.test"}, wire("whole\r\n")))
	h.quit()
	got := r.taken()
	require.Len(t, got, 1, "the one that was whole arrives, and no other")
	require.Equal(t, wire("whole\r\n"), got[0].octets, "as it was")
	nothingForged(t, []*receiver{r})
}
