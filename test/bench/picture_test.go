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
	g := graph{title: `recipients <&">`, lines: []line{
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
	assert.Equal(t, 3, strings.Count(text, ">smtpfeed<")+strings.Count(text, ">raw client<"), "and named")
}

func TestScalesAreLogarithmic(t *testing.T) {
	s := scale{low: 1, high: 100, length: 200}
	assert.InDeltaSlice(t, []float64{0, 100, 200}, []float64{s.at(1), s.at(10), s.at(100)}, 1e-9, "a tenfold is always as wide")
	s.reversed = true
	assert.InDelta(t, 200, s.at(1), 1e-9, "little is at the bottom")
	assert.InDeltaSlice(t, []float64{1, 10, 100}, s.marks(), 1e-9, "powers of ten are marked")
	assert.Equal(t, 100.0, scale{low: 5, high: 5, length: 200}.at(5), "a single value is in the middle")
}

func TestNamesDoNotCoverOneAnother(t *testing.T) {
	g := graph{lines: []line{{"a", []point{{1, 1}}}, {"b", []point{{1, 1}}}, {"c", []point{{1, 10}}}}}
	h := g.nameHeights(scale{low: 0.1, high: 100, length: graphHeight, reversed: true})
	assert.GreaterOrEqual(t, h[1]-h[0], 14.0, "equal ends are set apart")
	assert.Less(t, h[2], h[0], "and keep their order")
}

func TestGraphHasALineForEachCandidate(t *testing.T) {
	p := panels(false)[0]
	var rows []row
	for _, s := range p.shapes {
		for _, name := range []string{"x", "y"} {
			rows = append(rows, row{shape: s, candidate: name, runs: []figures{{Wall: 2}}})
		}
	}
	g := p.graph(rows)
	require.Len(t, g.lines, 2, "there are two candidates")
	assert.Equal(t, "x", g.lines[0].name, "in order")
	assert.Len(t, g.lines[1].points, len(p.shapes), "with all points")
	assert.Equal(t, point{1000, 2}, g.lines[1].points[0], "at their recipients")
	for _, p := range panels(true) {
		for _, s := range p.shapes {
			assert.Positive(t, s.world.Hosts*s.world.Domains*s.recipients, "a tenth of a world is still one")
		}
	}
}
