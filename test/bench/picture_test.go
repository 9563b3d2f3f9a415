package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPictureIsWellFormed(t *testing.T) {
	g := graph{title: `recipients <&">`, note: `"<>&`, lines: []line{
		{"raw client", []point{{1000, 0.3}, {10000, 0.4}}},
		{"smtpfeed", []point{{1000, 0.3}, {10000, 0.41}}},
	}}
	text := picture([]graph{g, {title: "one point", lines: []line{{"smtpfeed", []point{{200, 1}}}}}})
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "the picture is XML")
	}
	assert.NotContains(t, text, "NaN", "every coordinate is a number")
	assert.NotContains(t, text, "Inf", "and finite")
	assert.Equal(t, 3, strings.Count(text, `class="line`), "every line is drawn")
	assert.Equal(t, 2, strings.Count(text, `class="straight"`), "smtpfeed's beside a straight one")
	assert.Equal(t, 3, strings.Count(text, ">smtpfeed<")+strings.Count(text, ">raw client<"), "and named")
}

func TestScalesAreLinear(t *testing.T) {
	s := scale{high: 100, length: 200}
	assert.InDeltaSlice(t, []float64{0, 100, 200}, []float64{s.at(0), s.at(50), s.at(100)}, 1e-9, "the double is twice as far")
	s.reversed = true
	assert.InDelta(t, 200, s.at(0), 1e-9, "nothing is at the bottom")
	for high, want := range map[float64][]float64{
		200000: {0, 20000, 40000, 60000, 80000, 100000, 120000, 140000, 160000, 180000, 200000},
		2.3:    {0, 0.5, 1, 1.5, 2},
		0.9:    {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9},
	} {
		assert.InDeltaSlice(t, want, scale{high: high, length: 1}.marks(), 1e-9, "round numbers are marked up to %g", high)
	}
	g := graph{lines: []line{{"x", []point{{200000, 2.3}}}}}
	_, y := g.scales()
	assert.InDelta(t, 2.5, y.high, 1e-9, "the vertical scale ends at a mark")
}

func TestWorseThanLinearGrowthIsSeen(t *testing.T) {
	var b strings.Builder
	l := line{"smtpfeed", []point{{0, 0}, {50, 1}, {100, 4}}}
	l.drawStraight(&b, scale{high: 100, length: 100}, scale{high: 4, length: 100, reversed: true})
	assert.Contains(t, b.String(), "M0.0 100.0L100.0 0.0", "the straight line goes from the first point to the last: the one in the middle is below it")
}

func TestNamesDoNotCoverOneAnother(t *testing.T) {
	g := graph{lines: []line{{"a", []point{{1, 1}}}, {"b", []point{{1, 1}}}, {"c", []point{{1, 10}}}}}
	h := g.nameHeights(scale{high: 10, length: graphHeight, reversed: true})
	assert.GreaterOrEqual(t, h[1]-h[0], 14.0, "equal ends are set apart")
	assert.Less(t, h[2], h[0], "and keep their order")
}

func TestGraphHasALineForEachCandidate(t *testing.T) {
	p := panels(false)[0]
	var rows []row
	for i, s := range p.shapes {
		for _, name := range []string{"x", "smtpfeed"} {
			rows = append(rows, row{shape: s, candidate: name, runs: []figures{{Wall: float64(1 + i), CPU: 2}}})
		}
	}
	g := p.graph(rows)
	require.Len(t, g.lines, 2, "there are two candidates")
	assert.Equal(t, "x", g.lines[0].name, "in order")
	assert.Len(t, g.lines[1].points, len(p.shapes), "with all points")
	assert.Equal(t, point{1000, 1}, g.lines[1].points[0], "at their recipients")
	const note = "200,000 take 2.7 times as long as 10,000, and 1.0 times the CPU"
	assert.Equal(t, note, g.note, "the ends are compared")
	assert.Contains(t, p.figures(rows), "smtpfeed: "+note+".\n", "in words too")
	for _, p := range panels(true) {
		keys := map[string]bool{}
		for _, s := range p.shapes {
			assert.Positive(t, s.world.Hosts*s.world.Domains*s.recipients, "a tenth of a world is still one")
			assert.NotEmpty(t, s.world.Sender, "senders are looked at")
			keys[s.key] = true
		}
		assert.Len(t, keys, len(p.shapes), "shapes can be told apart")
	}
}
