package dnssec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Zone is one to be served.
type Zone struct {
	Name     string                     // "example." with the final dot
	Text     string                     // master file without SOA, NS and DS records, which are added; names are absolute; the TTL is 300
	Unsigned bool                       // its parent delegates it insecurely
	NSEC3    bool                       // denial of existence by hashed names; else by NSEC
	SignedAt time.Time                  // zero: now; signatures last for 14 days
	Spoil    func(signed string) string // changes the zone's file after it was signed; nil: nothing
}

// A World is zones and the recursor that validates them.
type World struct {
	dir           string
	authoritative string
	recursor      string
	programs      []*program
}

// Start signs zones and serves them until Close. A zone's parent, if it is among them, delegates to it. Those without a parent
// are trust anchors.
func Start(zones []Zone) (*World, error) {
	// Not a test's own directory: the path of knotd's control socket is bounded to 107 octets.
	dir, err := os.MkdirTemp("", "dnssec")
	if err != nil {
		return nil, err
	}
	w := &World{dir: dir}
	if err := w.start(zones); err != nil {
		return nil, errors.Join(fmt.Errorf("dnssec: %w", err), w.Close())
	}
	return w, nil
}

func (w *World) start(zones []Zone) (err error) {
	if missing := Missing(); len(missing) > 0 {
		return fmt.Errorf("not installed: %s", strings.Join(missing, " "))
	}
	anchors, err := sign(w.dir, zones)
	if err != nil {
		return err
	}
	if w.authoritative, err = freeAddr(); err != nil {
		return err
	}
	if err = w.run(knotd, knotConf(w.dir, w.authoritative, zones)); err != nil {
		return err
	}
	if w.recursor, err = freeAddr(); err != nil {
		return err
	}
	return w.run(unbound, unboundConf(w.dir, w.recursor, w.authoritative, zones, anchors))
}

// Recursor returns "127.0.0.1:PORT" of the validating recursor.
func (w *World) Recursor() string { return w.recursor }

// Authoritative returns "127.0.0.1:PORT" of the server of the zones, which validates nothing.
func (w *World) Authoritative() string { return w.authoritative }

// Close ends the servers and removes what they left.
func (w *World) Close() error {
	for i := len(w.programs) - 1; i >= 0; i-- {
		w.programs[i].stop()
	}
	return os.RemoveAll(w.dir)
}

// run starts a server with its configuration.
func (w *World) run(d daemon, conf string) error {
	file := filepath.Join(w.dir, filepath.Base(d.path)+".conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	p, err := startProgram(w.dir, d, file)
	if err != nil {
		return err
	}
	w.programs = append(w.programs, p)
	return nil
}
