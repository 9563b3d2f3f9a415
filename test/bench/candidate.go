package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A candidate is a way to deliver mail.
type candidate interface {
	name() string
	// remembers says that a second list goes otherwise than the first, because the candidate has learned about the hosts.
	remembers() bool
	// begin starts what must be there before the clock does. It may use the world, which is reset behind it.
	begin(s shape, w *world) (job, error)
}

// A job is a candidate with a shape to do.
type job interface {
	// deliver does the work and returns when every recipient has arrived. What the world knows better is not in the figures.
	deliver() (figures, error)
	end() error // of all that begin has started
}

// figures are what one run cost and took.
type figures struct {
	Wall         float64 // seconds from the hand-over to the last recipient's final reply
	Median       float64 // to the median recipient's
	Dot          float64 // to the end of the hand-over, where there is one; the message is complete only then
	Mean         float64 // seconds that a message was with the candidate, in the mean; 0: not measured
	Recipients   float64
	Sessions     float64 // begun in the run
	Transactions float64
	Questions    float64
	Octets       float64 // sent to hosts, commands and content
	Handshakes   float64 // of TLS
	Resumed      float64 // of those, with a session of an earlier one
	Unshaken     float64 // handshakes that failed
	Clear        float64 // transactions in plaintext
	CPU          float64 // seconds, of all processes
	Memory       float64 // octets at the peak
	World        float64 // seconds of CPU that the world used meanwhile; not in the table

	hostFigures
	began time.Time // the hand-over
}

// hostFigures are those of a run through a host MTA, whose clock starts at the submission. Dot is then smtpfeed's last one.
type hostFigures struct {
	Messages   float64 // in which the list was submitted
	Intake     float64 // seconds to the host's reply to the end of the last message
	Empty      float64 // seconds until the host's queue was empty
	Envelopes  float64 // LMTP transactions
	FeedCPU    float64 // smtpfeed's part of CPU
	FeedMemory float64 // smtpfeed's part of Memory
	// What the host's programs used until Intake and after it, in seconds of CPU.
	Taking, Giving map[string]float64
}

// A run is what the table calls it, and its figures.
type run struct {
	name string
	figures
}

// secondList is behind the name of a candidate that does a shape for the second time.
const secondList = ", second list"

// once lets a candidate do a shape, or twice where that differs, and checks that every recipient arrived exactly once.
func once(c candidate, s shape, w *world) ([]run, error) {
	runs, err := attempt(c, s, w)
	if err != nil {
		return nil, fmt.Errorf("%s, shape %s: %w", c.name(), s.key, err)
	}
	return runs, nil
}

func attempt(c candidate, s shape, w *world) (runs []run, err error) {
	if err := w.reset(); err != nil {
		return nil, err
	}
	j, err := c.begin(s, w)
	if err != nil {
		return nil, err
	}
	names := []string{c.name()}
	if s.again && c.remembers() {
		names = append(names, c.name()+secondList)
	}
	for i := 0; i < len(names) && err == nil; i++ {
		if i > 0 {
			if err = between(s, w, j); err != nil {
				break
			}
		}
		r := run{name: names[i]}
		if r.figures, err = w.watch(s, j); err == nil {
			err = guardOf(c).kept(r.figures)
		}
		runs = append(runs, r)
	}
	if err := errors.Join(err, j.end()); err != nil {
		return nil, err
	}
	// Now that no session is open, nothing more can come: a second copy neither.
	if err := w.closed(); err != nil {
		return nil, err
	}
	_, err = w.account(s)
	return runs, err
}

// A reloader is a job that must be given its work again before a second list. The clock does not run yet.
type reloader interface{ reload() error }

// between is what happens between two lists.
func between(s shape, w *world, j job) error {
	if s.parted {
		if err := w.closed(); err != nil {
			return err
		}
	}
	if r, ok := j.(reloader); ok {
		return r.reload()
	}
	return nil
}

// watch lets a job be done in a world that has forgotten what was before.
func (w *world) watch(s shape, j job) (f figures, err error) {
	if err := w.reset(); err != nil {
		return f, err
	}
	before, err := cpu(w.cmd.Process.Pid)
	if err != nil {
		return f, err
	}
	if f, err = j.deliver(); err != nil {
		return f, err
	}
	r, err := w.account(s)
	if err != nil {
		return f, err
	}
	after, err := cpu(w.cmd.Process.Pid)
	f.World = (after - before).Seconds()
	early := f.began.Sub(w.zero).Seconds()
	// The world notes when a final dot has come. Its reply is written after processing and, in the world's model, one round trip.
	behind := (s.world.Processing + s.world.RTT).Seconds()
	f.Wall, f.Median = r.Last-early+behind, r.Median-early+behind
	f.Recipients, f.Sessions, f.Transactions = float64(r.Recipients), float64(r.Sessions), float64(r.Transactions)
	f.Questions, f.Octets = float64(r.Questions()), float64(r.Read)
	f.Handshakes, f.Resumed, f.Unshaken = float64(r.Handshakes), float64(r.Resumed), float64(r.Unshaken)
	f.Clear = float64(r.Channels[internet.Plaintext])
	return f, err
}
