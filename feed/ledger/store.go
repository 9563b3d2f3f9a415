package ledger

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/smtpfeed/smtpfeed/feed"
)

const (
	// mapped is how much of the file is mapped from the start: address space, not memory. Up to there growing costs no new mapping.
	mapped = 64 << 20
	// growth is by how much bbolt extends the file in Power mode, where each time costs an fsync.
	growth = 4 << 20
	// maxArena is what is kept of the memory that a commit took.
	maxArena = 4 << 20
	// looked is how often it is made sure that the path still leads to the file.
	looked = 10 * time.Second
)

// A store is the open file, and what is known of its keys. After an error it is of no more use: how much of a failed commit
// is on disk is only known by reading the file again.
type store struct {
	path string
	file *os.File // bbolt's; it holds the lock
	db   *bbolt.DB

	index      map[feed.MessageID]kept
	recipients int
	next       uint64   // key
	stale      []uint64 // keys to delete with the next commit
	ready      bool     // the buckets are there
	size       int64
	lookedAt   time.Time

	arena []byte // the values of one commit
}

// kept is where a message's deliveries are.
type kept struct {
	first      uint64
	more       []uint64 // nearly always none
	recipients int
}

// newStore opens a file with bbolt that read has found sound, or empty. f belongs to the store, also if it fails.
func newStore(path string, f *os.File, sync Sync, n *findings) (*store, error) {
	s := &store{path: path, file: f, next: n.highest + 1, ready: n.ready, index: make(map[feed.MessageID]kept, len(n.records))}
	err := guarded(func() (err error) {
		s.db, err = bbolt.Open(path, fileMode, s.options(sync))
		return err
	})
	if err == nil && sync == Power {
		err = syncDir(path)
	}
	if err != nil {
		s.close(err)
		return nil, err
	}
	s.db.AllocSize = growth
	s.measure()
	for i := range n.records {
		s.note(n.records[i].key, &n.records[i].Delivery)
	}
	return s, nil
}

// options are those of bbolt. Its free list is always written: without it, bbolt reads the whole file in a goroutine of its
// own, where a panic cannot be recovered.
func (s *store) options(sync Sync) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         time.Nanosecond, // the lock is held already
		NoSync:          sync == Process,
		NoGrowSync:      sync == Process,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		NoStatistics:    true,
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return s.file, nil },
	}
}

// commit writes the group, if there is anything in it that changes the file.
func (s *store) commit(g *group) (wrote bool, err error) {
	if err := s.look(); err != nil {
		return false, err
	}
	keys := s.stale
	for _, m := range g.forgotten {
		if k, ok := s.index[m]; ok {
			keys = append(append(keys, k.first), k.more...)
		}
	}
	if len(keys) == 0 && g.live() == 0 {
		return false, nil
	}
	if err := guarded(func() error { return s.write(keys, g) }); err != nil {
		return false, err
	}
	s.committed(g)
	return true, nil
}

// look makes sure that nobody cut the file short, and now and then that it is still the one at the path.
func (s *store) look() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < s.size {
		return &damage{fmt.Sprintf("the file was cut from %d to %d octets while it was in use", s.size, info.Size())}
	}
	now := time.Now()
	unlinked := false // at once where it costs nothing more
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		unlinked = st.Nlink == 0
	}
	if now.Sub(s.lookedAt) < looked && !unlinked {
		return nil
	}
	s.lookedAt = now
	return sameFile(s.file, s.path)
}

// write is one transaction of bbolt's.
func (s *store) write(keys []uint64, g *group) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	if err := s.change(tx, keys, g); err != nil {
		tx.Rollback()
		return err
	}
	return tx.Commit()
}

func (s *store) change(tx *bbolt.Tx, keys []uint64, g *group) error {
	if !s.ready {
		if err := prepare(tx); err != nil {
			return err
		}
	}
	b := tx.Bucket([]byte(deliveryBucket))
	b.FillPercent = 1 // nothing is ever put between two keys
	var key [keySize]byte
	for _, k := range keys {
		binary.BigEndian.PutUint64(key[:], k)
		if err := b.Delete(key[:]); err != nil {
			return err
		}
	}
	s.arena = s.arena[:0]
	for i := range g.deliveries {
		d := &g.deliveries[i]
		if d.gone {
			continue
		}
		binary.BigEndian.PutUint64(key[:], s.next+uint64(i))
		if err := b.Put(key[:], s.encode(&d.Delivery)); err != nil {
			return err
		}
	}
	return nil
}

// encode makes the value in the arena: bbolt keeps the slice until the commit. An arena that must grow leaves earlier values
// where they are.
func (s *store) encode(d *feed.Delivery) []byte {
	start := len(s.arena)
	s.arena = appendDelivery(s.arena, d)
	return s.arena[start:len(s.arena):len(s.arena)]
}

// prepare makes the buckets of a new file.
func prepare(tx *bbolt.Tx) error {
	about, err := tx.CreateBucketIfNotExists([]byte(aboutBucket))
	if err != nil {
		return err
	}
	if err := about.Put([]byte(versionKey), []byte{fileVersion}); err != nil {
		return err
	}
	_, err = tx.CreateBucketIfNotExists([]byte(deliveryBucket))
	return err
}

// committed brings the index to what the file now holds.
func (s *store) committed(g *group) {
	s.ready, s.stale = true, nil
	for _, m := range g.forgotten {
		s.recipients -= s.index[m].recipients
		delete(s.index, m)
	}
	for i := range g.deliveries {
		if !g.deliveries[i].gone {
			s.note(s.next+uint64(i), &g.deliveries[i].Delivery)
		}
	}
	s.next += uint64(len(g.deliveries))
	s.measure()
	if cap(s.arena) > maxArena {
		s.arena = nil
	}
}

// note enters a delivery into the index.
func (s *store) note(key uint64, d *feed.Delivery) {
	k, ok := s.index[d.Message]
	if ok {
		k.more = append(k.more, key)
	} else {
		k.first = key
	}
	k.recipients += len(d.Recipients)
	s.recipients += len(d.Recipients)
	s.index[d.Message] = k
}

func (s *store) measure() {
	if info, err := s.file.Stat(); err == nil {
		s.size = info.Size()
	}
}

// close gives the file back. After a damage bbolt may hold its own locks for ever: then only the file is closed, and its
// mapping is left behind. That would keep the lock on the file, too.
func (s *store) close(err error) {
	if _, damaged := err.(*damage); !damaged && s.db != nil {
		if guarded(s.db.Close) == nil {
			return
		}
	}
	_ = syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN)
	s.file.Close()
}
