package ledger

import (
	"fmt"
	"os"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// shrinkOpening is the size from which a file in which nothing is left is begun anew when it is opened.
const shrinkOpening = 1 << 20

// open opens the file if it is not open, and hands over what it holds if that was not done yet.
func (k *keeper) open() error {
	if k.store != nil {
		return nil
	}
	f, err := lockFile(k.c.Path, 0)
	if err == nil {
		err = k.load(f)
	}
	if err != nil {
		k.failures++
	}
	return err
}

// load reads the locked file and makes it the store, or a new one if it is damaged.
func (k *keeper) load(f *os.File) error {
	n, err := k.inspect(f)
	attempted(k.c.Path)
	if err != nil {
		f.Close()
		return err
	}
	now := k.c.now()
	stale, again := n.age(now, k.c.Keep)
	again = k.wanted(again)
	found := append(k.wanted(n.deliveries()), again...)
	defer k.handOver(found)
	if n.damage != nil {
		// What could be read is written again: the group holds it until then, so it is safe from a failure from here on.
		if f, err = setAside(f, k.c.Path, now); err != nil {
			return err
		}
		k.tellSetAside(n.damage, found)
		k.group.add(feed.Entry{Delivered: found})
		n, stale, again = &findings{}, nil, nil
	} else if n.never || len(found) == 0 && n.size > shrinkOpening {
		if err = f.Truncate(0); err != nil {
			f.Close()
			return err
		}
		n, stale, again = &findings{}, nil, nil
	}
	s, err := newStore(k.c.Path, f, k.c.Sync, n)
	if err != nil {
		return err
	}
	s.stale = stale
	k.group.add(feed.Entry{Delivered: again})
	k.store, k.suspect = s, nil
	return nil
}

// inspect reads the file, unless it seems to have killed those who tried before.
func (k *keeper) inspect(f *os.File) (*findings, error) {
	if n := attempt(k.c.Path); n >= maxAttempts {
		return &findings{damage: &damage{fmt.Sprintf("%d attempts at reading it never ended", n-1)}}, nil
	}
	var n *findings
	err := guarded(func() (err error) {
		n, err = read(f)
		return err
	})
	switch {
	case k.condemn(err): // a fault of the reader's own
		return &findings{damage: err}, nil
	case err != nil:
		return nil, err
	case n.newer:
		return &findings{damage: &damage{"it is of a newer version"}}, nil
	case n.damage == nil && !n.never:
		n.damage = k.suspect
	}
	return n, nil
}

// wanted leaves out what was forgotten while the file could not be read.
func (k *keeper) wanted(ds []feed.Delivery) []feed.Delivery {
	forgot := k.group.forgot()
	wanted := ds[:0]
	for _, d := range ds {
		if !forgot[d.Message] {
			wanted = append(wanted, d)
		}
	}
	return wanted
}

func (n *findings) deliveries() []feed.Delivery {
	ds := make([]feed.Delivery, 0, len(n.records))
	for _, r := range n.records {
		ds = append(ds, r.Delivery)
	}
	return ds
}

// handOver tells what was found, the first time that the file could be read.
func (k *keeper) handOver(found []feed.Delivery) {
	if k.read {
		return
	}
	k.read = true
	if len(found) > 0 {
		k.c.Found(found)
	}
}

func (k *keeper) tellSetAside(damage error, kept []feed.Delivery) {
	k.setAside++
	k.suspect = nil
	k.c.Log.Warn("ledger: the file was set aside and a new one begun; what could not be read may be delivered again",
		"path", k.c.Path, "reason", wire.Clean(damage.Error(), maxTrouble), "kept", recipients(feed.Entry{Delivered: kept}),
		"do", "look at the disk and at the kernel's log; the file "+k.c.Path+asideInfix+"* is of no further use")
}
