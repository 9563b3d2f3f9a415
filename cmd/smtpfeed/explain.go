package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

type explainCommand struct {
	configFlag
	Domains   bool     `help:"List every domain of each host, not only the first few."`
	Addresses []string `arg:"" optional:"" name:"address" help:"Recipients, or domains; without any they are read from standard input, one a line."`
}

// Run resolves the recipients' domains and prints how they would be delivered.
func (c explainCommand) Run(s streams) error {
	conf, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	list, err := c.list(s.in)
	if err != nil {
		return err
	}
	var prediction feed.Prediction
	if len(list.domains) > 0 {
		if prediction, err = predict(conf, list.domains); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(s.out)
	explanation{prediction, list, c.Domains}.write(out)
	return out.Flush()
}

// predict asks the engine, with the routes of the real resolver.
func predict(conf Config, domains []string) (feed.Prediction, error) {
	log := slog.New(slog.DiscardHandler)
	conf.TLS.Report.Directory, conf.Submission.Host = "", "" // nothing is sent
	var d delivery
	tls, err := d.openParts(conf, true, log)
	defer d.closeParts()
	if err != nil {
		return feed.Prediction{}, &failure{exitConfig, err}
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	fc := conf.feedConfig(d.resolver, log)
	fc.TLS = tls
	prediction, err := feed.Predict(ctx, fc, domains)
	if err != nil {
		return prediction, &failure{exitTemporary, fmt.Errorf("explain: %w", err)}
	}
	return prediction, nil
}

// A recipientList is what explain was asked about.
type recipientList struct {
	domains []string // folded, one per recipient
	bad     []string // what is no address, with the reason
}

// list takes the recipients of the command line, or those of standard input.
func (c explainCommand) list(in io.Reader) (recipientList, error) {
	var l recipientList
	for _, a := range c.Addresses {
		l.add(a)
	}
	if len(c.Addresses) > 0 {
		return l, nil
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		l.add(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return l, &failure{exitUsage, fmt.Errorf("standard input: %w", err)}
	}
	if len(l.domains)+len(l.bad) == 0 {
		return l, &failure{exitUsage, errors.New("explain: no address given, neither as argument nor on standard input")}
	}
	return l, nil
}

// add takes one line: an address with or without angle brackets, or a domain alone. Empty lines and comments do not count.
func (l *recipientList) add(line string) {
	text := strings.TrimSpace(line)
	if text == "" || strings.HasPrefix(text, "#") {
		return
	}
	if inner, ok := strings.CutPrefix(text, "<"); ok {
		text = strings.TrimSuffix(inner, ">")
	}
	domain, err := resolver.Fold(text[strings.LastIndexByte(text, '@')+1:])
	var why *resolver.Error
	if errors.As(err, &why) {
		l.bad = append(l.bad, wire.Clean(text, 100)+": "+why.Reason)
		return
	}
	l.domains = append(l.domains, domain)
}

// An explanation is what is printed.
type explanation struct {
	feed.Prediction
	list       recipientList
	allDomains bool
}

// shownDomains is how many domains of a host are named when not all are asked for.
const shownDomains = 4

func (e explanation) write(w io.Writer) {
	e.writeGroups(w)
	e.writeApart(w)
	e.writeUnroutable(w)
	if len(e.list.bad) > 0 {
		fmt.Fprintln(w, "NOT AN ADDRESS")
		for _, b := range e.list.bad {
			fmt.Fprintf(w, "%s\n", b)
		}
		fmt.Fprintln(w)
	}
	e.writeTotals(w)
}

// writeGroups writes a line for each host and, below it, the domains it takes mail for.
func (e explanation) writeGroups(w io.Writer) {
	if len(e.Groups) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tRECIPIENTS\tSESSIONS\tTRANSACTIONS\tTLS\tADDRESSES\tDOMAINS")
	for _, g := range e.Groups {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\n", g.Host, g.Recipients, g.Sessions, g.Transactions, g.Policy, strings.Join(g.Addrs, " "), e.domainsOf(g))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// writeApart says why recipients share no session although their hosts have the same addresses.
func (e explanation) writeApart(w io.Writer) {
	same := map[string][]feed.Group{}
	for _, g := range e.Groups {
		at := strings.Join(g.Addrs, " ")
		same[at] = append(same[at], g)
	}
	header := "NOT SHARED\n"
	for _, at := range slices.Sorted(maps.Keys(same)) {
		groups := same[at]
		if len(groups) < 2 {
			continue
		}
		fmt.Fprintf(w, "%s%s:", header, at)
		header = ""
		for i, g := range groups {
			fmt.Fprintf(w, "%s %s of %s: %s", []string{"", ";"}[min(i, 1)], count(g.Recipients, "recipient"), e.domainsOf(g), g.Policy)
		}
		fmt.Fprintln(w, ". Sessions are shared only where the policy on TLS is the same")
	}
	if header == "" {
		fmt.Fprintln(w)
	}
}

// domainsOf names the domains of a host, or their number when there are many.
func (e explanation) domainsOf(g feed.Group) string {
	if e.allDomains || len(g.Domains) <= shownDomains {
		return strings.Join(g.Domains, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(g.Domains[:shownDomains-1], " "), len(g.Domains)-shownDomains+1)
}

// writeUnroutable writes a line for each domain without a route.
func (e explanation) writeUnroutable(w io.Writer) {
	if len(e.Unroutable) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NO ROUTE\tRECIPIENTS\tOUTCOME\tREASON")
	for _, u := range e.Unroutable {
		fmt.Fprintf(t, "%s\t%d\t%s %s\t%s\n", u.Domain, u.Recipients, u.Outcome.Class, u.Outcome.Status, words(u.Outcome))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// writeTotals writes the sum.
func (e explanation) writeTotals(w io.Writer) {
	domains := map[string]bool{}
	for _, d := range e.list.domains {
		domains[d] = true
	}
	lost := 0
	for _, u := range e.Unroutable {
		lost += u.Recipients
	}
	fmt.Fprintf(w, "%s of %s: %s, %s, %s", count(len(e.list.domains), "recipient"), count(len(domains), "domain"),
		count(len(e.Groups), "host"), count(e.Sessions, "session"), count(e.Transactions, "transaction"))
	if lost > 0 {
		fmt.Fprintf(w, "; %s without a route", count(lost, "recipient"))
	}
	fmt.Fprintln(w)
}
