package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A panel is one half of the growth picture: what grows, and the shapes along it.
type panel struct {
	title  string
	shapes []shape
	at     func(shape) float64 // the horizontal coordinate
}

// panels are: more recipients for the same hosts, and more hosts for the same recipients.
func panels(small bool) []panel {
	recipients := panel{title: "recipients, in 10,000 domains on 200 hosts", at: func(s shape) float64 { return float64(s.recipients) }}
	for _, n := range []int{1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000} {
		recipients.add(n, internet.Config{Domains: 10000, Hosts: 200})
	}
	hosts := panel{title: "hosts, for 10,000 recipients in 10,000 domains", at: func(s shape) float64 { return float64(s.world.Hosts) }}
	for _, n := range []int{10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000} {
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
	p.shapes = append(p.shapes, shape{
		key: strconv.Itoa(recipients) + "/" + strconv.Itoa(c.Hosts), title: far(c).String(), recipients: recipients, world: far(c),
	})
}

// growth measures both panels and draws them.
func (o options) growth() error {
	var drawn []graph
	for _, p := range panels(o.small) {
		rows, err := o.measure(p.shapes)
		if err != nil {
			return err
		}
		drawn = append(drawn, p.graph(rows))
	}
	if err := os.WriteFile(o.out, []byte(picture(drawn)), 0o644); err != nil {
		return err
	}
	fmt.Println("wrote", o.out)
	return nil
}

// graph makes a line for each candidate of the rows of a panel.
func (p panel) graph(rows []row) graph {
	g := graph{title: p.title}
	for _, r := range rows {
		i := 0
		for i < len(g.lines) && g.lines[i].name != r.candidate {
			i++
		}
		if i == len(g.lines) {
			g.lines = append(g.lines, line{name: r.candidate})
		}
		g.lines[i].points = append(g.lines[i].points, point{p.at(r.shape), r.wall()})
	}
	return g
}
