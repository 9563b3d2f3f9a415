package main

import (
	"fmt"
	"time"
)

// A candidate is a way to deliver mail.
type candidate interface {
	name() string
	// deliver does the work of a shape once, in a world that was just reset, and returns when every recipient has arrived. What the
	// world knows better is not in the figures.
	deliver(s shape, w *world) (figures, error)
}

// figures are what one run cost and took.
type figures struct {
	Wall         float64 // seconds from the hand-over to the last recipient's final reply
	Median       float64 // to the median recipient's
	Dot          float64 // to the end of the hand-over, where there is one; the message is complete only then
	Mean         float64 // seconds that a message was with the candidate, in the mean; 0: not measured
	Recipients   float64
	Sessions     float64
	Transactions float64
	Questions    float64
	Octets       float64 // sent to hosts, commands and content
	CPU          float64 // seconds, of all processes
	Memory       float64 // octets at the peak
	World        float64 // seconds of CPU that the world used meanwhile; not in the table

	began time.Time // the hand-over
}

// once resets the world, lets the candidate deliver, and checks that every recipient arrived exactly once.
func once(c candidate, s shape, w *world) (figures, error) {
	if err := w.reset(); err != nil {
		return figures{}, err
	}
	before, err := cpu(w.cmd.Process.Pid)
	if err != nil {
		return figures{}, err
	}
	f, err := c.deliver(s, w)
	if err != nil {
		return f, fmt.Errorf("%s, shape %s: %w", c.name(), s.key, err)
	}
	r, err := w.settled()
	if err != nil {
		return f, err
	}
	if err := exactlyOnce(s, r.Report, r.missing); err != nil {
		return f, fmt.Errorf("%s, shape %s: %w", c.name(), s.key, err)
	}
	after, err := cpu(w.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	f.World = (after - before).Seconds()
	early := f.began.Sub(w.zero).Seconds()
	// The world notes when a final dot has come. Its reply is written after processing and, in the world's model, one round trip.
	behind := (s.world.Processing + s.world.RTT).Seconds()
	f.Wall, f.Median = r.Last-early+behind, r.Median-early+behind
	f.Recipients, f.Sessions, f.Transactions = float64(r.Recipients), float64(r.Sessions), float64(r.Transactions)
	f.Questions, f.Octets = float64(r.MX+r.A+r.AAAA+r.Other), float64(r.Read)
	return f, nil
}
