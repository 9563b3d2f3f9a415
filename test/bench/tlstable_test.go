package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTLSTableComparesRoundByRound(t *testing.T) {
	at := func(candidate string, runs ...figures) row {
		return row{shape{key: "b", title: "of b"}, candidate, runs}
	}
	rows := []row{
		at("x: plaintext", figures{Wall: 1, CPU: 1, Handshakes: 0}, figures{Wall: 10, CPU: 2}, figures{Wall: 2, CPU: 3}),
		at("x: TLS",
			figures{Wall: 3, CPU: 3, Handshakes: 2000, Resumed: 500, World: 0.5}, figures{Wall: 10, CPU: 3, Handshakes: 2000, Resumed: 500, World: 0.5},
			figures{Wall: 4, CPU: 6, Handshakes: 2000, Resumed: 500, World: 0.5}),
		at("y: plaintext", figures{Wall: 1, CPU: 1}, figures{Wall: 1, CPU: 1}),
		at("y: TLS", figures{Wall: 2, CPU: 1.5, Handshakes: enough - 1}),
		at("z: TLS", figures{Wall: 2}),
		at("x: TLS, DANE", figures{Wall: 6, CPU: 6, Handshakes: 2000}),
	}
	lines := strings.Split(tlsTable(rows), "\n")
	cells := func(i int) []string {
		parts := strings.Split(strings.Trim(lines[i+2], "|"), "|")
		for k := range parts {
			parts[k] = strings.TrimSpace(parts[k])
		}
		return parts
	}
	n := len(tlsColumns())
	assert.Len(t, cells(0), n, "every column has a cell")
	assert.Equal(t, []string{"", "", ""}, cells(0)[n-3:], "plaintext is compared with nobody")
	assert.Equal(t, []string{"2.00", "2.00", "1.00 ms"}, cells(1)[n-3:], "the medians of the ratios and differences, not those of the medians")
	assert.Equal(t, []string{"2,000", "25 %", "500"}, cells(1)[4:7], "handshakes, resumed, in a second")
	assert.Equal(t, []string{"0", "", "0"}, cells(0)[4:7], "no share of nothing")
	assert.Equal(t, []string{"2.00", "1.50", ""}, cells(3)[n-3:], "over the rounds that both did; few handshakes cost nothing that can be told")
	assert.Equal(t, []string{"", "", ""}, cells(4)[n-3:], "nor does one without its counterpart")
	assert.Equal(t, []string{"2.00", "2.00", ""}, cells(5)[n-3:], "DANE is compared with TLS, where a handshake costs no more")
	assert.Contains(t, lines, "- b: of b.", "shapes are explained")
}

func TestTLSFiguresAreWrittenForReaders(t *testing.T) {
	assert.Equal(t, []string{"", "0 %", "100 %"}, []string{percent(math.NaN()), percent(0), percent(1)}, "shares")
	assert.Equal(t, []string{"", "", "2.00"}, []string{fold(math.Inf(1)), fold(math.NaN()), fold(2)}, "what is compared with nothing")
	assert.Equal(t, []string{"", "0.25 ms", "-0.10 ms"}, []string{milliseconds(0), milliseconds(0.00025), milliseconds(-0.0001)}, "small times")
}
