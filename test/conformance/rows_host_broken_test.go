package conformance

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestABrokenScriptFails is TestABrokenExpectationFails for the plays of rows about DNS, messages and host MTAs: each is a good row that
// wants one thing that is wrong.
func TestABrokenScriptFails(t *testing.T) {
	dnsRow := func(want []string, then func(*play)) row {
		return row{id: "DNS-01", rule: "x", want: want, zone: zoneOf("one.test. MX 0 .", twoIsWell), play: then, others: []host{{addr: "192.0.2.2"}}}
	}
	right := []string{"P 5.1.10", "P 5.1.10", "OK"}
	a := []string{"a@one.test"}
	again := func(copies int) row {
		return spoken("HST-16", "x", keeps(news(a), 1, func(_ *play, _ *process, h *hostMTA) { h.conn.Close() }, news(a, "250 2.0.0 mx1.test"), map[string]int{"a": copies}))
	}
	for _, c := range []struct {
		rule string
		row  row
		says string // "": nothing is wrong
	}{
		{"nothing", dnsRow(right, at(map[string]string{"192.0.2.1": "c"})), ""},
		{"an outcome", dnsRow([]string{"P 5.1.10", "OK", "OK"}, (*play).exchange), "P 5.1.10, wanted OK"},
		{"who got whom", dnsRow(right, at(map[string]string{"192.0.2.1": "b c"})), "got [c], wanted [b c]"},
		{"who was dialled", dnsRow(right, at(map[string]string{"192.0.2.2": "c"})), "192.0.2.1 was dialled"},
		{"a question that was not to be asked", dnsRow(right, neverAsked("MX one.test")), "MX one.test was asked 1 times"},
		{"a question that was to be asked", dnsRow(right, askedOnce("A one.test")), "A one.test was asked 0 times"},
		{"an octet of the content", row{id: "MSG-04", rule: "x", want: all("OK"), play: contentAs("x\r\n", "y\r\n")}, "they differ"},
		{"a reply to RCPT", refusedAddress("ADR-01", "x", "<x@one.test>", "550"), `heard "250 2.1.5 Ok" (<nil>), wanted "550"`},
		{"a final reply", spoken("HST-04", "x", saying(map[string]string{"192.0.2.1": "a"}, news(a, "450"))), `wanted "450"`},
		{"the end of a connection", spoken("HST-11", "x", saying(nil, script{"> QUIT", "< 221", "< 250"})), "EOF"},
		{"an address on the wire", takenAddress("ADR-06", "x", "<A@one.test>", "a@one.test"), "was told"},
		{"copies", again(2), "copies: map[a:1]"},
		{"nothing of a ledger", again(1), ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := newTheatre(t).start([]row{c.row}, false)[0]
			var texts []string
			for _, problem := range (<-p.done).problems {
				texts = append(texts, problem.text)
			}
			if c.says == "" {
				assert.Empty(t, texts, "the row is a good one")
			} else {
				assert.Contains(t, strings.Join(texts, "\n"), c.says, "the row fails for it")
			}
		})
	}
}
