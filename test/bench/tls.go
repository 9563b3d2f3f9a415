package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// tlsOptions are the flags of `bench tls`.
type tlsOptions struct {
	options
	certificates string
	allAt        string // comma separated keys of shapes
}

func parseTLS(args []string) (o tlsOptions) {
	f := flag.NewFlagSet("bench tls", flag.ExitOnError)
	o.common(f)
	f.StringVar(&o.shapes, "shapes", "b,a", "what to deliver")
	f.StringVar(&o.by, "by", "raw,smtpfeed,classical,tuned",
		"who delivers with TLS, each beside itself in plaintext: raw, postfix, tuned, smtpfeed, classical (smtpfeed without ML-KEM); "+
			"beside smtpfeed with TLS and no more: dane, sts")
	f.StringVar(&o.allAt, "all-at", "b", "of the shapes, those with so many handshakes that Postfix and classical take part, Postfix in the first round")
	f.StringVar(&o.certificates, "certificates", string(internet.ECDSA), "of the hosts: ecdsa or rsa")
	f.StringVar(&o.profile, "profile", "", "an existing `directory` for profiles of smtpfeed and the raw client; they disturb what is measured")
	f.Parse(args) // ExitOnError: it returns no error
	return o
}

// tlsMain is `bench tls`: the table of TLS against plaintext.
func tlsMain(args []string) error {
	o := parseTLS(args)
	chosen, err := choose(o.shapes, o.small)
	if err != nil {
		return err
	}
	all, err := o.pairs()
	if err != nil {
		return err
	}
	var rows []row
	for _, s := range chosen {
		part, err := o.sitting(s.secured(internet.KeyKind(o.certificates)), o.takingPart(s, all))
		if err != nil {
			return err
		}
		rows = append(rows, part...)
	}
	text := tlsTable(rows)
	fmt.Print(text)
	if !o.write {
		return nil
	}
	if o.small || o.lacks(all) {
		return errors.New("somebody could not take part, or all of it is a tenth: the README keeps its table")
	}
	return writeReadme(o.readme, tlsMark, text)
}

// secured is a shape whose hosts all have TLS. A list is delivered twice, the second time over new sessions, whose handshakes can
// resume. Personal mail finds its sessions there already: what is left to measure is encryption.
func (s shape) secured(kind internet.KeyKind) shape {
	s.world.TLS, s.world.TLSA, s.world.AD = kind, true, true
	s.again = !s.personal()
	s.parted = s.again
	return s
}

// pairs are those who can take part, each behind whom it is compared with.
func (o tlsOptions) pairs() (all []candidate, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for key := range strings.SplitSeq(o.by, ",") {
		both, err := o.pair(key, self)
		if err != nil {
			return nil, err
		}
		for _, c := range both {
			if !slices.Contains(names(all), c.name()) {
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// pair is whom a candidate is compared with, and itself; nobody when it cannot run here. self is our program.
func (o tlsOptions) pair(key, self string) (both []candidate, err error) {
	with := encrypted
	if g, ok := guards()[key]; ok {
		key, with = "smtpfeed", g
	}
	for _, g := range []guard{with.without(), with} {
		switch key {
		case "smtpfeed":
			both = append(both, feeder{program: o.smtpfeed, profile: o.profile, guard: g})
		case "raw":
			both = append(both, raw{program: self, profile: o.profile, guard: g})
		case "postfix", "tuned":
			both = append(both, postfix{tuned: key == "tuned", guard: g})
		default:
			return nil, fmt.Errorf("nobody is called %q", key)
		}
	}
	if _, ok := both[0].(postfix); ok {
		if err := noPostfix(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: without %s: %v\n", key, err)
			return nil, nil
		}
	}
	return both, nil
}

// lacks says that somebody is asked for who cannot run here.
func (o tlsOptions) lacks(all []candidate) bool {
	for key := range strings.SplitSeq(o.by, ",") {
		if slices.Contains([]string{"postfix", "tuned"}, key) && !slices.Contains(names(all), (postfix{tuned: key == "tuned", guard: encrypted}).name()) {
			return true
		}
	}
	return false
}

func names(all []candidate) (names []string) {
	for _, c := range all {
		names = append(names, c.name())
	}
	return names
}

// takingPart are those who do a shape. Where handshakes are few, those without ML-KEM tell nothing new; Postfix, which has a session for
// each domain, tells the same in minutes as where they are many.
func (o tlsOptions) takingPart(s shape, all []candidate) []candidate {
	if slices.Contains(strings.Split(o.allAt, ","), s.key) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(c candidate) bool {
		_, ok := c.(postfix)
		return ok || guardOf(c) == classical
	})
}
