package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

func TestExplainReadsAddresses(t *testing.T) {
	for _, c := range []struct{ rule, line, domain, bad string }{
		{"an address", "a@Example.ORG", "example.org", ""},
		{"an address in brackets", "<a@example.org>", "example.org", ""},
		{"white space around it", "  a@example.org\t", "example.org", ""},
		{"a domain alone", "example.org", "example.org", ""},
		{"a domain in another script", "a@b\u00fccher.example", "xn--bcher-kva.example", ""},
		{"an address literal", "a@[192.0.2.1]", "[192.0.2.1]", ""},
		{"an at sign in a quoted local part", `"a@b"@example.org`, "example.org", ""},
		{"an empty line", "  ", "", ""},
		{"a comment", "# a@example.org", "", ""},
		{"no domain", "a@", "", "a@: empty domain"},
		{"an address without brackets", "a@192.0.2.1", "", "a@192.0.2.1: an address must stand in brackets"},
		{"something for the terminal", "a@\x1b[2J", "", "a@?[2J: character that no domain has"},
	} {
		var l recipientList
		l.add(c.line)
		assert.Equal(t, c.domain, strings.Join(l.domains, " "), c.rule)
		assert.Equal(t, c.bad, strings.Join(l.bad, " "), c.rule)
	}
}

func TestExplainTakesArgumentsBeforeStandardInput(t *testing.T) {
	l, err := explainCommand{Addresses: []string{"a@b.c"}}.list(strings.NewReader("d@e.f\n"))
	require.NoError(t, err, "arguments are enough")
	assert.Equal(t, []string{"b.c"}, l.domains, "standard input is left alone")
	_, err = explainCommand{}.list(strings.NewReader(strings.Repeat("x", 100_000)))
	var f *failure
	require.ErrorAs(t, err, &f, "a line without end is refused")
	assert.Equal(t, exitUsage, f.code, "as a mistake of whoever asks")
}

func TestExplanation(t *testing.T) {
	via := func(names string) feed.Group {
		return feed.Group{Host: "mx.example", Addrs: []string{"192.0.2.1:25", "[2001:db8::1]:25"}, Domains: strings.Fields(names), Recipients: 250, Sessions: 2, Transactions: 3, Policy: "dane"}
	}
	lost := feed.Unroutable{Domain: "lost.example", Recipients: 3, Outcome: &feed.Outcome{Class: feed.Deferred, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 3}, Err: errors.New("no answer\x1b[2J")}}
	e := explanation{Prediction: feed.Prediction{Groups: []feed.Group{via("a.example b.example c.example d.example e.example f.example")}, Unroutable: []feed.Unroutable{lost}, Sessions: 2, Transactions: 3}}
	var w strings.Builder
	e.write(&w)
	assert.Contains(t, w.String(), "mx.example  250         2         3             dane  192.0.2.1:25 [2001:db8::1]:25  a.example b.example c.example and 3 more\n", "a host has a line, and not all of its domains")
	assert.Contains(t, w.String(), "lost.example  3           deferred 4.4.3  no answer?[2J\n", "a domain without a route says why, and nothing to the terminal")
	assert.Contains(t, w.String(), "; 3 recipients without a route\n", "the totals say how many")
	e.allDomains = true
	w.Reset()
	e.write(&w)
	assert.Contains(t, w.String(), "a.example b.example c.example d.example e.example f.example\n", "all of them when asked for")
}
