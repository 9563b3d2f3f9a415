package killloop

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPlanIsTheSameForTheSameSeed(t *testing.T) {
	for n := range 3 * Kinds {
		assert.Equal(t, Plan(7, n, 5), Plan(7, n, 5), "round %d can be had again", n)
		assert.NotEqual(t, Plan(7, n, 5), Plan(8, n, 5), "another seed is another round %d", n)
	}
	assert.NotEqual(t, Plan(7, 0, 5), Plan(7, Kinds, 5), "rounds of one kind differ")
}

func TestPlanStaysWithinBounds(t *testing.T) {
	moments := make(map[Event]int)
	for n := range 100 * Kinds {
		r := Plan(1, n, 5)
		assert.GreaterOrEqual(t, r.Lists[0], fewest, "the list is long")
		assert.LessOrEqual(t, r.Lists[0], most, "but not longer than said")
		assert.Len(t, r.Lists, 1+singles, "and single mails come with it")
		for _, s := range r.Strikes {
			assert.NotEmpty(t, s.Victims, "somebody dies")
			assert.Positive(t, s.Nth, "after something has happened")
			assert.LessOrEqual(t, s.Nth, r.Lists[0]/5*11/10, "which as a rule does happen")
			assert.Less(t, s.Delay, longestDelay, "and soon")
			moments[s.Event]++
		}
	}
	for _, e := range []Event{Began, Kept, Answered} {
		assert.Positive(t, moments[e], "somebody dies after %q", e)
	}
}

func TestEveryKindOfRoundComesInTurn(t *testing.T) {
	seen := make(map[string]int)
	for n := range Kinds {
		seen[Plan(1, n, 5).Kind()]++
	}
	assert.Equal(t, map[string]int{
		"smtpfeed": 2, "agent": 2, "recorder": 2, "smtpfeed and recorder": 1, "smtpfeed, then agent": 1, "recorder, then smtpfeed": 1,
		"agent and smtpfeed": 1, "smtpfeed, then smtpfeed": 1, "agent, then smtpfeed": 1, "late agent": 1,
	}, seen, "of as many rounds as there are kinds")
}
