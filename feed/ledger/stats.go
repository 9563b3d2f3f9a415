package ledger

// Stats are the gauges and counters of a Ledger. Counters are of this process's time.
type Stats struct {
	Open    bool   // the file is in use
	Trouble string // why it is not, printable ASCII; "" while it is

	Messages   int   // in the file
	Recipients int   // in the file
	Bytes      int64 // size of the file
	Queued     int   // recipients, and messages to forget, that wait for a commit or for the file

	Commits   int // changes of the file
	Kept      int // recipients written
	Forgotten int // messages forgotten
	Failures  int // commits and attempts at opening that failed
	Dropped   int // recipients that were never written, since there was no room for them in memory or the Ledger was closed
	SetAside  int // files that were damaged, or killed their reader
}

// Stats returns the state as of the last commit. It never waits for the disk.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Queued += l.queued
	s.Dropped += l.dropped
	return s
}
