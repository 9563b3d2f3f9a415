package crash

import (
	"fmt"
	"strconv"
	"strings"
)

// A how is what becomes of the action at which a process dies.
type how uint8

const (
	Before how = iota // it does not happen
	Behind            // it happens, and nothing after it
	Torn              // its first octets leave
)

// A point is where a process dies.
type point struct {
	K      int // the action's number in the run, from 1
	How    how
	Octets int  // that leave, when torn
	Power  bool // the machine dies: host MTA too, and what no disk has is gone
}

// String is "17", "17:behind", "17:torn=3", each perhaps with ":power".
func (p point) String() string {
	s := strconv.Itoa(p.K)
	switch p.How {
	case Behind:
		s += ":behind"
	case Torn:
		s += fmt.Sprintf(":torn=%d", p.Octets)
	}
	if p.Power {
		s += ":power"
	}
	return s
}

// pointsOf reads points as they are printed, with commas between.
func pointsOf(text string) ([]point, error) {
	var points []point
	for word := range strings.SplitSeq(text, ",") {
		if word == "" {
			continue
		}
		p, err := pointOf(word)
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

func pointOf(text string) (p point, err error) {
	words := strings.Split(text, ":")
	if p.K, err = strconv.Atoi(words[0]); err != nil {
		return p, err
	}
	for _, w := range words[1:] {
		octets, torn := strings.CutPrefix(w, "torn=")
		switch {
		case w == "behind":
			p.How = Behind
		case w == "power":
			p.Power = true
		case torn:
			p.How = Torn
			if p.Octets, err = strconv.Atoi(octets); err != nil {
				return p, err
			}
		default:
			return p, fmt.Errorf("no such way to die: %q", w)
		}
	}
	return p, nil
}

func listOf(points []point) string {
	var words []string
	for _, p := range points {
		words = append(words, p.String())
	}
	return strings.Join(words, ",")
}
