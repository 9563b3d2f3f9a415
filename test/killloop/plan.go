package killloop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A Victim is a process that is killed.
type Victim string

const (
	Feed     Victim = "smtpfeed"
	Agent    Victim = "agent"    // the host MTA's process that hands mail over
	Recorder Victim = "recorder" // some mail hosts
	// LateAgent is an Agent that has just been told the last reply for a list, and may not have noted all of them yet.
	LateAgent Victim = "late agent"
)

// An Event is what the recorders tell of while they work.
type Event string

const (
	Began    Event = "began"    // a transaction has
	Kept     Event = "kept"     // a message was written to the file; its 250 is still to come
	Answered Event = "answered" // a 250 was written
	// HandBack is not the recorders': the host MTA was given all replies for a list, or for a part of it.
	HandBack Event = "handed back"
)

// A Moment is when something is killed: Delay after the Nth Event since the round began, or since what the strike before killed
// was there again.
type Moment struct {
	Event Event
	Nth   int
	Delay time.Duration
}

// A Strike is what is killed at a moment, with kill -9, one right after the other, before any of it is started again.
type Strike struct {
	Moment
	Victims []Victim
	Pick    int // which recorder; 0 is all agents, else every second one
}

// A Round is mail, and what dies while it is on its way.
type Round struct {
	Number  int
	Lists   []int // the mails' recipients
	Strikes []Strike
}

// kinds are what rounds kill. Victims of one strike stand beside each other.
var kinds = [...][][]Victim{
	{{Feed}},
	{{Agent}},
	{{Recorder}},
	{{Feed, Recorder}},
	{{Feed}, {Agent}},
	{{Feed}},
	{{Agent}},
	{{Recorder}, {Feed}},
	{{Agent, Feed}},
	{{Feed}, {Feed}},
	{{Recorder}},
	{{Agent}, {Feed}},
	{{LateAgent}},
}

// Kinds is how many kinds of rounds follow one another.
const Kinds = len(kinds)

const (
	fewest, most = 200, 500 // recipients of a list
	singles      = 4
	longestDelay = 60 * time.Millisecond
)

// Plan is round number n of a seed. perTransaction is how many recipients a transaction has at most.
func Plan(seed uint64, n, perTransaction int) Round {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	round := Round{Number: n, Lists: []int{fewest + r.IntN(most-fewest+1)}}
	for range singles {
		round.Lists = append(round.Lists, 1)
	}
	transactions := round.Lists[0] / perTransaction // at least
	for i, victims := range kinds[n%Kinds] {
		if victims[0] == LateAgent {
			round.Strikes = append(round.Strikes, Strike{Moment: Moment{Event: HandBack, Nth: 1}, Victims: victims})
			continue
		}
		// What a strike leaves to do is less than it found; with a ledger it may be nothing.
		left := transactions >> (2 * i)
		round.Strikes = append(round.Strikes, Strike{Moment: moment(r, left), Victims: victims, Pick: r.IntN(2)})
	}
	return round
}

// moment is one in which mail is on its way, as far as there are that many transactions. Some come when all is done: the last
// replies may then be on their way.
func moment(r *rand.Rand, transactions int) Moment {
	m := Moment{
		Event: [...]Event{Began, Kept, Kept, Answered, Answered}[r.IntN(5)],
		Nth:   1 + r.IntN(transactions+transactions/10),
	}
	if r.IntN(2) == 0 { // half of them hit right behind the event
		m.Delay = time.Duration(r.Int64N(int64(longestDelay)))
	}
	return m
}

// Kind names what a round kills: "agent", "smtpfeed and recorder" at once, "smtpfeed, then agent".
func (r Round) Kind() string {
	var strikes []string
	for _, s := range r.Strikes {
		var victims []string
		for _, v := range s.Victims {
			victims = append(victims, string(v))
		}
		strikes = append(strikes, strings.Join(victims, " and "))
	}
	return strings.Join(strikes, ", then ")
}

func (s Strike) String() string {
	return fmt.Sprintf("%v (%d) %v after %q no. %d", s.Victims, s.Pick, s.Delay.Round(time.Millisecond), s.Event, s.Nth)
}
