package main

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

func numeral(n int) string { return strconv.Itoa(n) }

func TestShapesAreWhatTheirTitlesSay(t *testing.T) {
	keys := map[string]shape{}
	for _, s := range shapes() {
		keys[s.key] = s
		assert.Positive(t, s.recipients, "shape %s has work", s.key)
		assert.NotEmpty(t, s.world.Sender, "shape %s: senders are looked at", s.key)
		assert.True(t, s.world.Additional, "shape %s: recursors that know a host's address say it", s.key)
	}
	assert.Len(t, keys, len(shapes()), "every key is there once")
	for _, g := range goals() {
		assert.Contains(t, keys, g.key, "every goal has its shape")
	}
	assert.Equal(t, verpSender, keys["v"].world.Sender, "v has a sender for each recipient")
	assert.Equal(t, sender, keys["a"].world.Sender, "a has one for all")
	assert.True(t, keys["d"].personal(), "d is personal mail")
	assert.Zero(t, keys["b0"].world.RTT, "b0 is near")
	assert.Equal(t, roundTrip, keys["b"].world.RTT, "b is far")
	for _, key := range []string{"e", "f"} {
		c := keys[key].world
		for i := range keys[key].recipients {
			j := internet.Takers(internet.Recipient(i, c), c)[0]
			require.GreaterOrEqual(t, j, c.DeadHosts, "shape %s: the second exchanger takes recipient %d", key, i)
		}
		assert.Equal(t, c.Domains, c.DeadHosts, "shape %s: every domain has a dead first exchanger of its own", key)
	}
}

func TestShapesAreChosen(t *testing.T) {
	chosen, err := choose("g,b", true)
	require.NoError(t, err)
	assert.Equal(t, []string{"g", "b"}, []string{chosen[0].key, chosen[1].key}, "in the order asked for")
	assert.Equal(t, []int{1000, 1000, 1000}, []int{chosen[1].recipients, chosen[1].world.Domains, chosen[1].world.Hosts}, "small is a tenth")
	assert.Equal(t, roundTrip, chosen[1].world.RTT, "of all but distances")
	chosen, err = choose("d", true)
	require.NoError(t, err)
	assert.Equal(t, chosen[0].world.Hosts, chosen[0].callers, "a tenth of the callers share a tenth of the hosts")
	_, err = choose("g,nothing", false)
	assert.ErrorContains(t, err, `"nothing"`, "unknown shapes are an error")
}

func TestExactlyOnceFindsEveryFault(t *testing.T) {
	s := shape{recipients: 10}
	good := internet.Report{Recipients: 10, Contents: 1}
	assert.NoError(t, exactlyOnce(s, good, internet.Addresses{}), "ten of ten are right")
	one := internet.Addresses{Count: 1}
	for name, spoil := range map[string]func(*internet.Report){
		"lost":        func(r *internet.Report) { r.Recipients-- },
		"twice":       func(r *internet.Report) { r.Duplicates = one },
		"misrouted":   func(r *internet.Report) { r.Misrouted = one },
		"unknown":     func(r *internet.Report) { r.Unknown = one },
		"missent":     func(r *internet.Report) { r.Missent = one },
		"refused":     func(r *internet.Report) { r.Refused = 1 },
		"a violation": func(r *internet.Report) { r.Violations = 1 },
		"changed":     func(r *internet.Report) { r.Contents = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			spoil(&r)
			assert.Error(t, exactlyOnce(s, r, internet.Addresses{}), "a run with a fault does not count")
		})
	}
	assert.Error(t, exactlyOnce(s, good, one), "nor one that missed somebody")
	s.callers = 2
	assert.Error(t, exactlyOnce(s, good, internet.Addresses{}), "messages of their own must all differ")
}

func TestRunsAreEntered(t *testing.T) {
	var rows []row
	for _, name := range []string{"x", "y", "y" + secondList, "x", "y", "y" + secondList} {
		rows = enter(rows, shape{key: "e"}, run{name, figures{Wall: 1}})
	}
	require.Len(t, rows, 3, "a row for each name")
	for i, name := range []string{"x", "y", "y" + secondList} {
		assert.Equal(t, name, rows[i].candidate, "in their first order")
		assert.Len(t, rows[i].runs, 2, "with all rounds")
	}
}
