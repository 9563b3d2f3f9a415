package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A graph has lines over one axis; the vertical one is seconds. Both are linear and begin at 0, so that growth that is worse than linear
// bends upwards: away from the dashed line, which is straight from smtpfeed's first point to its last.
type graph struct {
	title string // of the horizontal axis
	note  string // below it
	lines []line
}

type line struct {
	name   string  // of the candidate
	points []point // at least one
}

type point struct{ x, y float64 }

// The picture's measures, in pixels.
const (
	graphWidth, graphHeight = 380.0, 280.0
	gapLeft, gapRight       = 50.0, 110.0 // for the scale, and for the names at the ends of the lines
	gapTop, gapBottom       = 30.0, 68.0
	panelWidth              = gapLeft + graphWidth + gapRight
	pictureHeight           = gapTop + graphHeight + gapBottom
)

// style works on white and on black: a README is read on both.
const style = `<style>
text { font: 12px sans-serif; fill: #24292f } .grid { stroke: #8884; fill: none } .line { fill: none; stroke-width: 2 }
.c0 { stroke: #8c959f } .c1 { stroke: #0969da } .c2 { stroke: #bc4c00 } .c3 { stroke: #8250df } .dot { stroke-width: 5; stroke-linecap: round }
.straight { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 4 4; fill: none } .note { font-size: 11px }
@media (prefers-color-scheme: dark) { text { fill: #d1d5da } .c1 { stroke: #58a6ff } .c2 { stroke: #f0883e } .c3 { stroke: #a371f7 } }
</style>
`

// picture draws graphs side by side as SVG.
func picture(graphs []graph) string {
	var b strings.Builder
	width := panelWidth * float64(len(graphs))
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\">\n", width, pictureHeight, width, pictureHeight)
	b.WriteString(style)
	for i, g := range graphs {
		fmt.Fprintf(&b, "<g transform=\"translate(%g %g)\">\n", panelWidth*float64(i)+gapLeft, gapTop)
		g.draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (g graph) draw(b *strings.Builder) {
	x, y := g.scales()
	for _, v := range x.marks() {
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.1f 0V%g\"/><text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%s</text>\n",
			x.at(v), graphHeight, x.at(v), graphHeight+18, short(v))
	}
	for _, v := range y.marks() {
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M0 %.1fH%g\"/><text x=\"-6\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			y.at(v), graphWidth, y.at(v)+4, short(v))
	}
	fmt.Fprintf(b, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">%s</text>\n", graphWidth/2, graphHeight+38, html.EscapeString(g.title))
	fmt.Fprintf(b, "<text class=\"note\" x=\"%g\" y=\"%g\" text-anchor=\"middle\">%s</text>\n", graphWidth/2, graphHeight+56, html.EscapeString(g.note+"; dashed: straight"))
	b.WriteString("<text x=\"-6\" y=\"-14\">seconds to the last delivery</text>\n")
	names := g.nameHeights(y)
	for i, l := range g.lines {
		if l.name == (feeder{}).name() {
			l.drawStraight(b, x, y)
		}
		l.draw(b, x, y)
		last := l.points[len(l.points)-1]
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x.at(last.x)+8, names[i]+4, html.EscapeString(l.name))
	}
}

// nameHeights is where the names of the lines stand: at their ends, but never on one another.
func (g graph) nameHeights(y scale) []float64 {
	const room = 14
	heights, order := make([]float64, len(g.lines)), make([]int, len(g.lines))
	for i, l := range g.lines {
		heights[i], order[i] = y.at(l.points[len(l.points)-1].y), i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(heights[i], heights[j]) })
	for k := 1; k < len(order); k++ {
		heights[order[k]] = max(heights[order[k]], heights[order[k-1]]+room)
	}
	return heights
}

// colour is of a style class: each candidate has its own in every graph.
func (l line) colour() int {
	return max(0, slices.Index([]string{raw{}.name(), feeder{}.name(), postfixName, tunedName}, l.name))
}

// draw is one line with its dots.
func (l line) draw(b *strings.Builder, x, y scale) {
	var path, dots strings.Builder
	for i, p := range l.points {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x.at(p.x), y.at(p.y))
		fmt.Fprintf(&dots, "M%.1f %.1fh0", x.at(p.x), y.at(p.y))
	}
	fmt.Fprintf(b, "<path class=\"line c%d\" d=\"%s\"/><path class=\"dot c%d\" d=\"%s\"/>\n", l.colour(), &path, l.colour(), &dots)
}

// drawStraight is where the dots would be if every step cost the same.
func (l line) drawStraight(b *strings.Builder, x, y scale) {
	first, last := l.points[0], l.points[len(l.points)-1]
	fmt.Fprintf(b, "<path class=\"straight\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x.at(first.x), y.at(first.y), x.at(last.x), y.at(last.y))
}

// A scale puts values between 0 and high on length pixels; reversed counts from the end, as heights on a screen do.
type scale struct {
	high, length float64
	reversed     bool
}

// scales hold all points; the vertical one ends at a mark.
func (g graph) scales() (x, y scale) {
	x = scale{length: graphWidth}
	y = scale{length: graphHeight, reversed: true}
	for _, l := range g.lines {
		for _, p := range l.points {
			x.high, y.high = max(x.high, p.x), max(y.high, p.y)
		}
	}
	y.high = y.step() * math.Ceil(y.high/y.step()-1e-9)
	return x, y
}

func (s scale) at(v float64) float64 {
	part := v / s.high
	if s.reversed {
		part = 1 - part
	}
	return part * s.length
}

// step is the distance of two marks: 1, 2 or 5 times a power of ten, so that there are four to ten.
func (s scale) step() float64 {
	power := math.Pow(10, math.Floor(math.Log10(s.high)))
	for _, part := range []float64{0.1, 0.2, 0.5} {
		if s.high/(part*power) <= 10 {
			return part * power
		}
	}
	return power
}

// marks are the multiples of step within the scale.
func (s scale) marks() (m []float64) {
	for i := 0.0; i*s.step() <= s.high*(1+1e-9); i++ {
		m = append(m, i*s.step())
	}
	return m
}

// short is 100000 as "100k".
func short(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v/1000, 'g', 4, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
