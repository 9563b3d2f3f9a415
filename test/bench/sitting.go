package main

import (
	"fmt"
	"os"
	"strings"
)

// measure runs all shapes. The candidates take turns in every round, so that whatever else the machine does meets all of them. With an
// error it returns the shapes that were finished.
func (o options) measure(chosen []shape) ([]row, error) {
	all, err := o.candidates()
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, s := range chosen {
		part, err := o.sitting(s, all)
		if err != nil {
			return rows, err
		}
		rows = append(rows, part...)
	}
	return rows, nil
}

// sitting does one shape, in one world.
func (o options) sitting(s shape, all []candidate) ([]row, error) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", s.key, s.title)
	dns := dnsFor(all)
	w, err := startWorld(o.internetd, dns, s.world)
	if err != nil {
		return nil, fmt.Errorf("%w (its DNS server is at %s; where that cannot be: -by raw,smtpfeed)", err, dns)
	}
	defer w.stop()
	var rows []row
	for round := range o.rounds {
		for _, c := range all {
			if round > 0 && s.onlyOnce(c) {
				continue
			}
			runs, err := once(c, s, w)
			if err != nil {
				return nil, err
			}
			for _, r := range runs {
				rows = enter(rows, s, r)
				fmt.Fprintf(os.Stderr, "  %-*s last %6.2f s, median %6.2f s, hand-over %5.2f s, CPU %5.2f s, the world's %5.2f s\n",
					width(all), r.name, r.Wall, r.Median, r.Dot, r.CPU, r.World)
			}
		}
	}
	return rows, nil
}

// onlyOnce says that a candidate does a shape in the first round only, because it takes so long. With TLS that is every Postfix.
func (s shape) onlyOnce(c candidate) bool {
	p, ok := c.(postfix)
	return ok && (s.slow && !p.tuned || p.guard != asShipped)
}

// width is that of the longest name.
func width(all []candidate) (n int) {
	for _, c := range all {
		n = max(n, len(c.name()))
	}
	return n + len(secondList)
}

// enter adds a run to the row of its name, or a row.
func enter(rows []row, s shape, r run) []row {
	for i := range rows {
		if rows[i].candidate == r.name {
			rows[i].runs = append(rows[i].runs, r.figures)
			return rows
		}
	}
	return append(rows, row{s, r.name, []figures{r.figures}})
}

// dnsFor is where the candidates can use a DNS server.
func dnsFor(all []candidate) string {
	for _, c := range all {
		if _, ok := c.(postfix); ok {
			return dnsForHosts
		}
	}
	return "127.0.0.1:0"
}

// candidates are those asked for.
func (o options) candidates() (all []candidate, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for key := range strings.SplitSeq(o.by, ",") {
		switch key {
		case "raw":
			all = append(all, raw{program: self, profile: o.profile})
		case "postfix", "tuned":
			if err := noPostfix(); err != nil {
				fmt.Fprintf(os.Stderr, "bench: without %s: %v\n", key, err)
				continue
			}
			all = append(all, postfix{tuned: key == "tuned"})
		case "smtpfeed":
			all = append(all, feeder{program: o.smtpfeed, profile: o.profile})
		case "off", "power":
			all = append(all, feeder{program: o.smtpfeed, profile: o.profile, ledger: ledgerWay(key)})
		default:
			return nil, fmt.Errorf("nobody is called %q", key)
		}
	}
	return all, nil
}
