package conformance

import (
	"testing"
)

// A theatre is where many rows are played over sockets at once.
type theatre struct {
	steady, hurried *sockets // worlds: one with ordinary times, one for long rows; the same where all is hurried
	mailers         map[troupe]mailer
	hire            func(troupe) mailer
	names           int // how many rows have got names
}

// A troupe is a mailer that rows share: the world it is in, and its setup.
type troupe struct {
	world *sockets
	setup setup
	alone int // the number of the row that has it for itself; 0: rows share it
}

// newTheatre makes the worlds for smtpfeed.
func newTheatre(t *testing.T) *theatre {
	s := &theatre{steady: newSockets(t, "127.0.0.1:0"), hurried: newSockets(t, "127.0.0.1:0"), mailers: map[troupe]mailer{}}
	s.hurried.speed = hurry
	s.hire = func(u troupe) mailer { return startProgram(t, u.world, u.setup) }
	return s
}

// newPostfixTheatre makes the one for Postfix, in which everything is hurried. Postfix asks for one domain of a row only: no
// greeting waits for the others.
func newPostfixTheatre(t *testing.T) *theatre {
	w := newSockets(t, dnsForPostfix+":53")
	w.speed, w.gates = hurry, false
	instances := map[string]*postfix{} // by level
	hire := func(u troupe) mailer {
		level := levelFor(u.setup)
		if instances[level] == nil {
			instances[level] = startPostfix(t, w, level)
		}
		return instances[level]
	}
	return &theatre{steady: w, hurried: w, mailers: map[troupe]mailer{}, hire: hire}
}

// A performance is a row that is being played.
type performance struct {
	row  row
	next bool
	done chan verdict // one, from the goroutine that plays it
}

// most is how many rows are played at once.
const most = 24

// start plays rows, long ones too if they are wanted, and returns at once. They end in whatever order.
func (s *theatre) start(rows []row, long bool) (all []performance) {
	free := make(chan struct{}, most) // a token for each row being played
	for _, r := range rows {
		if r.where == inMemory || r.long && !long {
			continue
		}
		for _, next := range r.variants() {
			p := performance{row: r, next: next, done: make(chan verdict, 1)}
			all = append(all, p)
			play := s.cast(r, next)
			go func() {
				free <- struct{}{}
				p.done <- play.run()
				<-free
			}()
		}
	}
	return all
}

// cast gives a row its names, world and mailer.
func (s *theatre) cast(r row, next bool) *play {
	s.names++
	u := troupe{world: s.steady, setup: r.setup}
	if r.long {
		u.world = s.hurried
	}
	if r.setup.own {
		u.alone = s.names
	}
	if s.mailers[u] == nil {
		s.mailers[u] = s.hire(u)
	}
	if u.world.gated() {
		r = r.overSockets()
	}
	return &play{row: r, next: next, names: namesOf(s.names, r.apart), world: u.world, mailer: s.mailers[u]}
}
