package resolver

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResultsAreHandedOutTogether(t *testing.T) {
	var calls []string
	newAsker := func(name string) *asker {
		return &asker{done: func(results []Result) {
			call := name
			for _, r := range results {
				call += " " + r.Domain
			}
			calls = append(calls, call)
			_ = append(results, Result{Domain: "overwritten"})
		}}
	}
	a, b := newAsker("a"), newAsker("b")
	var e ending
	for i, who := range []*asker{a, a, b, a} {
		domain := fmt.Sprint(i)
		e.lookups = append(e.lookups, &lookup{domain: domain, asker: who})
		e.results = append(e.results, Result{Domain: domain})
	}
	e.hand()
	assert.Equal(t, []string{"a 0 1", "b 2", "a 3"}, calls, "neighbours of one asker should come in one call, and each call have its own")
	ending{}.hand()
	assert.Len(t, calls, 3, "nothing should be no call")
}

func TestLookupHasRoomForOneQuestion(t *testing.T) {
	l := new(lookup)
	first := l.newQuestion(key{"a.example", dns.TypeMX})
	second := l.newQuestion(key{"mx.example", dns.TypeA})
	assert.Same(t, &l.firstQuestion, first, "the first question should be part of the lookup")
	assert.NotSame(t, first, second, "another should be its own")
	assert.Equal(t, "a.example", first.key.name, "and not overwrite the first")
}

func TestPackedMessagesStay(t *testing.T) {
	var out outbox
	var datagrams []datagram
	for i := range 200 {
		datagrams = append(datagrams, datagram{id: uint16(i), key: key{fmt.Sprintf("d%d.example", i), dns.TypeMX}, form: form(i % 4)})
	}
	for range 2 { // the second time in what the first has left
		out.pack(datagrams)
		for i, d := range datagrams {
			wire := out.messages[i].Buffers[0]
			require.Equal(t, appendQuery(nil, d.id, d.key, d.form), wire, "a message should stay as it is when the buffer grows for the next")
		}
	}
}
