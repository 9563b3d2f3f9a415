package ledger

import (
	"encoding/binary"
	"os"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
)

// The file has two buckets: what it is, and the deliveries, keyed by a number (8 octets, big endian) that only grows. So
// deliveries are added at the last page and mostly deleted from the first ones, whatever the messages' digests are.
const (
	aboutBucket    = "smtpfeed"
	deliveryBucket = "deliveries"
	versionKey     = "version"
	fileVersion    = 1
	keySize        = 8
)

// A record is a delivery on disk.
type record struct {
	key uint64
	feed.Delivery
}

// What was found in a file.
type findings struct {
	size    int64
	records []record
	highest uint64 // key
	ready   bool   // the buckets are there
	newer   bool   // it was written by a version that may mean something else
	never   bool   // nothing was ever committed: not even its making need have been completed
	damage  error
}

// read takes in what a file holds. It changes nothing, and is safe whatever is in it.
func read(f *os.File) (*findings, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	n := &findings{size: info.Size(), never: info.Size() == 0}
	if n.never {
		return n, nil
	}
	m := image{file: f, size: info.Size(), each: n.take}
	damage := m.scan()
	// bbolt makes a file with transactions 0 and 1, so what it holds begins at 2.
	n.never = m.pages > 0 && m.tx < 2
	if damage != nil && !n.never {
		n.damage = damage
	}
	return n, nil
}

// take is told every key and value of a file.
func (n *findings) take(bucket string, key, value []byte) {
	switch bucket {
	case aboutBucket:
		if string(key) == versionKey {
			n.newer = len(value) != 1 || value[0] > fileVersion
			n.ready = true
		}
	case deliveryBucket:
		n.takeDelivery(key, value)
	}
}

func (n *findings) takeDelivery(key, value []byte) {
	d, err := parseDelivery(value)
	if err == nil && len(key) != keySize {
		err = errShort
	}
	if err != nil {
		if n.damage == nil {
			n.damage = &damage{"a delivery's " + err.Error()}
		}
		return
	}
	k := binary.BigEndian.Uint64(key)
	n.highest = max(n.highest, k)
	n.records = append(n.records, record{k, d})
}

// age parts the records: those still of use stay, keys of the others are returned. A time in the future comes of a clock that
// was wrong then or is now: it counts as now, and what it stands in is written again, or it would begin anew at each start
// and never end.
func (n *findings) age(now time.Time, keep time.Duration) (stale []uint64, again []feed.Delivery) {
	alive := n.records[:0]
	for _, r := range n.records {
		switch age := now.Sub(r.At); {
		case age > keep:
			stale = append(stale, r.key)
		case age < 0:
			stale = append(stale, r.key)
			r.At = now
			again = append(again, r.Delivery)
		default:
			alive = append(alive, r)
		}
	}
	n.records = alive
	return stale, again
}
