package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A panel is one half of the growth picture: what grows, and the shapes along it.
type panel struct {
	title  string
	shapes []shape
	at     func(shape) float64 // the horizontal coordinate
	base   int                 // which of the shapes the last one is compared with
}

// panels are: more recipients for the same hosts, and more hosts for the same recipients.
func panels(small bool) []panel {
	recipients := panel{title: "recipients, in 10,000 domains on 200 hosts", at: func(s shape) float64 { return float64(s.recipients) }, base: 2}
	for _, n := range []int{1000, 5000, 10000, 20000, 50000, 100000, 150000, 200000} {
		recipients.add(n, internet.Config{Domains: 10000, Hosts: 200})
	}
	hosts := panel{title: "hosts, for 10,000 recipients in 10,000 domains", at: func(s shape) float64 { return float64(s.world.Hosts) }, base: 2}
	for _, n := range []int{10, 200, 1000, 2000, 4000, 6000, 8000, 10000} {
		hosts.add(10000, internet.Config{Domains: 10000, Hosts: n})
	}
	all := []panel{recipients, hosts}
	if small {
		for k, p := range all {
			all[k].title += " (a tenth of all)"
			for i, s := range p.shapes {
				p.shapes[i] = s.tenth()
			}
		}
	}
	return all
}

func (p *panel) add(recipients int, c internet.Config) {
	s := shape{key: count(float64(recipients)) + " to " + count(float64(c.Hosts)), title: far(c).String(), recipients: recipients, world: far(c)}
	p.shapes = append(p.shapes, s.withSenders())
}

// growth measures both panels, draws them, and says how much more the largest shapes cost than those of a tenth or a twentieth.
func (o options) growth() error {
	var drawn []graph
	var said strings.Builder
	for _, p := range panels(o.small) {
		rows, err := o.measure(p.shapes)
		if err != nil {
			return err
		}
		g := p.graph(rows)
		drawn = append(drawn, g)
		fmt.Fprintf(&said, "%s\n%s", p.title, p.figures(rows))
	}
	if o.small && o.out == growthFile {
		o.out = filepath.Join(os.TempDir(), filepath.Base(growthFile)) // a tenth is nothing for the README
	}
	if err := os.WriteFile(o.out, []byte(picture(drawn)), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s\nMedians of the rounds; %s.\nwrote %s\n", said.String(), machine(), o.out)
	return nil
}

// graph makes a line for each candidate of the rows of a panel.
func (p panel) graph(rows []row) graph {
	g := graph{title: p.title}
	for _, name := range candidatesOf(rows) {
		l := line{name: name}
		for _, r := range rows {
			if r.candidate == name {
				l.points = append(l.points, point{p.at(r.shape), r.wall()})
			}
		}
		g.lines = append(g.lines, l)
		if name == (feeder{}).name() {
			g.note = p.compare(rows, name)
		}
	}
	return g
}

// candidatesOf are the names in rows, in order.
func candidatesOf(rows []row) (names []string) {
	for _, r := range rows {
		if !slices.Contains(names, r.candidate) {
			names = append(names, r.candidate)
		}
	}
	return names
}

// figures are a panel's numbers, for those who want more than a picture.
func (p panel) figures(rows []row) string {
	var b strings.Builder
	for _, name := range candidatesOf(rows) {
		for _, r := range rows {
			if r.candidate == name {
				fmt.Fprintf(&b, "%10s  %-16s %8s, CPU %8s, %6s MB\n", count(p.at(r.shape)), name, seconds(r.wall()), seconds(r.cpu()), megabytes(r.memory()))
			}
		}
		fmt.Fprintf(&b, "%s: %s.\n", name, p.compare(rows, name))
	}
	return b.String()
}

// compare says what the last shape costs a candidate beside the panel's base.
func (p panel) compare(rows []row, name string) string {
	last, base := p.shapes[len(p.shapes)-1], p.shapes[p.base]
	above, below := find(rows, last.key, name), find(rows, base.key, name)
	times := func(get func(row) float64) string { return strconv.FormatFloat(get(above)/get(below), 'f', 1, 64) }
	return fmt.Sprintf("%s take %s times as long as %s, and %s times the CPU", count(p.at(last)), times(row.wall), count(p.at(base)), times(row.cpu))
}
