package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/lmtp"
)

// flushAt bounds the memory of a batch: a list of 100,000 recipients settled at once is written in pieces of this many octets.
const flushAt = 1 << 20

const (
	// defaultRecordWait is how long a batch may block, without log.wait.
	defaultRecordWait = 30 * time.Second
	// leastPatience is how long a batch may block at least when the file is known to be slow: a disk that is busy takes as long.
	leastPatience = 250 * time.Millisecond
	// swapGrace is how long a batch on its way to a file that was replaced still waits for it.
	swapGrace = time.Second
	// openGrace is how long a file may take to be opened before the daemon goes on without it.
	openGrace = 5 * time.Second
)

// records is the delivery record file: one JSON object a line, appended with one write(2) a batch, so that a line of one
// process never stands inside a line of another (stdio writes to the same file).
//
// A record is in the file before its recipient is answered: who writes waits for that. What cannot be written (the disk is full or
// broken) is counted, told once an outage, and each later batch tries again. A file that does not take what it is given (a reader
// that has stopped, a disk that hangs) holds mail up for setWait's time once, not once a batch: see flush. A goroutine of the file's
// own does the writing (see pen), so that nobody hangs with it, and no lock is held while it does.
type records struct {
	log  *slog.Logger
	open func(path string) (recordFile, error)

	// turn is held by the batch that is being written: a lock for which can be waited with a deadline. Whoever puts an element in
	// has it, and takes it out again; capacity 1. Nobody encodes without it, or each batch that waits would hold its text.
	turn    chan struct{}
	encoder encoder // belongs to whoever has the turn

	mu       sync.Mutex    // guards what follows; never held while waiting
	path     string        // "" is off, "-" is standard output
	pen      *pen          // writes path; nil is off
	stdout   *pen          // the one for standard output, once there was one: two at once would mix their lines
	moved    chan struct{} // closed by use, which replaces it: pen is another now
	wait     time.Duration // log.wait
	patience time.Duration // how long the next batch may block: wait, or less while the file is slow
	state    recordState
	before   uint64 // state.Lost when the outage began
}

// A recordState is what status and metrics show of the records since the start.
type recordState struct {
	Written uint64
	Lost    uint64    // that mail did not wait for, or that could not be written
	Late    uint64    // of those lost, the ones that reached the file after all
	Trouble string    // why records are not written now; "" when they are
	Since   time.Time // when that began
}

// Reasons of ours why records are not written.
var (
	errNotTaken = errors.New("the file does not take what it is given: its reader has stopped, or its disk hangs")
	errNotOpen  = errors.New("the file cannot be opened: its disk does not answer")
)

// openRecords opens the file of path. A path that can never work is an error, because it is a mistake in the configuration; a
// full or broken disk is not, because mail matters more than its record.
func openRecords(path string, log *slog.Logger) (*records, error) {
	return openRecordsBy(openRecordFile, path, log)
}

// openRecordsBy is openRecords with files of one's own.
func openRecordsBy(open func(string) (recordFile, error), path string, log *slog.Logger) (*records, error) {
	r := &records{log: log, open: open, turn: make(chan struct{}, 1), moved: make(chan struct{}), wait: defaultRecordWait, patience: defaultRecordWait}
	p, err := r.newPen(path)
	for _, mistake := range []error{fs.ErrNotExist, fs.ErrPermission, errNotRegular} {
		if errors.Is(err, mistake) {
			p.end()
			return nil, err
		}
	}
	r.use(path, p)
	if err != nil {
		r.mu.Lock()
		begun := r.outage(err, 0)
		r.mu.Unlock()
		r.tell(begun, err)
	}
	return r, nil
}

// setWait sets how long a batch may block before mail goes on without it; 0 is 30 s.
func (r *records) setWait(d time.Duration) {
	if d <= 0 {
		d = defaultRecordWait
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wait, r.patience = d, d
}

// write appends one batch, and returns when it is in the file or when it cannot be waited for. It is lmtp.Config.Record.
func (r *records) write(batch []lmtp.Record) {
	patience, off := r.begin()
	if off {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		r.lose(len(batch))
		return
	}
	r.encoder.reset()
	first := 0
	for i := range batch {
		r.encoder.add(&batch[i])
		if len(r.encoder.line) >= flushAt {
			r.flush(ctx, i+1-first)
			first = i + 1
		}
	}
	r.flush(ctx, len(batch)-first)
}

// begin says how long a batch may block: not at all while the file is known to take nothing, for then every batch would.
func (r *records) begin() (patience time.Duration, off bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.pen == nil:
		return 0, true
	case r.pen.stuck:
		return 0, false
	default:
		return r.patience, false
	}
}

// flush writes the n records gathered.
func (r *records) flush(ctx context.Context, n int) {
	if n == 0 {
		return
	}
	began := time.Now()
	p := &piece{text: r.encoder.take(), n: n, done: make(chan struct{})}
	if !r.hand(ctx, p) {
		r.lose(n)
		return
	}
	if p.given {
		r.encoder = encoder{} // its memory is the pen's until it can write
		return
	}
	p.news()
	r.adapt(time.Since(began))
}

// hand gives a piece to the pen, and waits until it is written or for as long as ctx allows. False: no pen took it.
func (r *records) hand(ctx context.Context, p *piece) bool {
	for {
		r.mu.Lock()
		pen, moved := r.pen, r.moved
		r.mu.Unlock()
		if pen == nil {
			return false
		}
		p.pen = pen
		select {
		case pen.work <- p:
			r.await(ctx, p, moved)
			return true
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// await waits for a piece that a pen has. When the file was replaced meanwhile, the old one gets a moment more.
func (r *records) await(ctx context.Context, p *piece, moved <-chan struct{}) {
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	case <-moved:
		grace := time.NewTimer(swapGrace)
		defer grace.Stop()
		select {
		case <-p.done:
			return
		case <-ctx.Done():
		case <-grace.C:
		}
	}
	r.giveUp(p)
}

// giveUp lets mail go on without a piece. It counts as lost; the pen, which cannot be interrupted, may still write it.
func (r *records) giveUp(p *piece) {
	r.mu.Lock()
	select {
	case <-p.done:
		r.mu.Unlock()
		return
	default:
	}
	p.given, p.pen.stuck = true, true
	r.state.Lost += uint64(p.n)
	begun := p.pen == r.pen && r.outage(errNotTaken, p.n)
	r.mu.Unlock()
	r.tell(begun, errNotTaken)
}

// lose counts n records that no pen took.
func (r *records) lose(n int) {
	r.mu.Lock()
	r.state.Lost += uint64(n)
	begun := r.pen != nil && r.outage(errNotTaken, n)
	r.mu.Unlock()
	r.tell(begun, errNotTaken)
}

// settled is called by a pen: the first lines records of its piece are in the file, and what prevented the others is err.
func (r *records) settled(p *piece, lines int, err error) {
	r.mu.Lock()
	if p.given {
		r.state.Late += uint64(lines)
	} else {
		r.state.Written += uint64(lines)
		r.state.Lost += uint64(p.n - lines)
	}
	news := r.judge(p.pen == r.pen, p.n-lines, err)
	p.pen.stuck = false
	alone := p.given
	if !alone {
		p.news = news
	}
	close(p.done)
	r.mu.Unlock()
	if alone {
		news()
	}
}

// judge takes in how a write ended, lost records short of its piece, and returns what is to be told about that. The caller holds mu.
func (r *records) judge(current bool, lost int, err error) (news func()) {
	switch {
	case current && err != nil:
		if r.outage(err, lost) {
			return func() { r.tell(true, err) }
		}
	case current && r.state.Trouble != "":
		path, lost := r.path, r.state.Lost-r.before
		r.state.Trouble, r.state.Since = "", time.Time{}
		return func() { r.log.Info("delivery records are written again", "path", path, "lost", lost) }
	}
	return func() {}
}

// outage notes why records are not written, lost of them just now, and says whether that is news. The caller holds mu.
func (r *records) outage(err error, lost int) (begun bool) {
	begun = r.state.Trouble == ""
	if begun {
		r.state.Since, r.before = time.Now(), r.state.Lost-uint64(lost)
	}
	r.state.Trouble = err.Error()
	if errors.Is(err, errNotTaken) || errors.Is(err, errNotOpen) {
		r.patience = min(leastPatience, r.wait)
	}
	return begun
}

// tell alarms the operator, once an outage. Never under mu: whoever stops our standard output may have stopped the log, too.
func (r *records) tell(begun bool, err error) {
	if begun {
		r.log.Error("delivery records cannot be written; mail goes on without them", "path", r.name(), "error", err)
	}
}

// adapt learns from a piece that took so long. A reader that takes a little all the time must not hold up each batch of a long
// list for the whole of wait: patience is halved by what is slow, and doubled by what is fast.
func (r *records) adapt(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case took > r.patience/2:
		r.patience = max(r.patience/2, min(leastPatience, r.wait))
	case took < r.patience/8:
		r.patience = min(2*r.patience, r.wait)
	}
}

// reopen opens the file of path and writes it from now on: after logrotate has moved the old one away, or with a new configuration.
// When it cannot be opened the old one stays. It waits for no batch.
func (r *records) reopen(path string) error {
	p, err := r.newPen(path)
	if err != nil {
		p.end()
		return err
	}
	r.use(path, p)
	return nil
}

// newPen starts a pen for path: nil for "". With an error it is there all the same, and opens the file when it can.
func (r *records) newPen(path string) (*pen, error) {
	if path == "" {
		return nil, nil
	}
	r.mu.Lock()
	known := r.stdout
	r.mu.Unlock()
	if path == "-" && known != nil {
		return known, nil
	}
	p := startPen(path, r)
	grace := time.NewTimer(openGrace)
	defer grace.Stop()
	select {
	case err := <-p.opened:
		return p, err
	case <-grace.C:
		return p, fmt.Errorf("delivery records: %s: %w", path, errNotOpen)
	}
}

// use makes p the pen, and ends the one before.
func (r *records) use(path string, p *pen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.pen
	if old == p {
		return
	}
	r.path, r.pen, r.patience = path, p, r.wait
	if path == "-" {
		r.stdout = p
	}
	if p == nil {
		r.state.Trouble, r.state.Since = "", time.Time{}
	}
	close(r.moved)
	r.moved = make(chan struct{})
	if old != r.stdout {
		old.end()
	}
}

// name is the path, for the log.
func (r *records) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.path == "-" {
		return "standard output"
	}
	return r.path
}

// counts are the records written and those lost.
func (r *records) counts() (written, lost uint64) {
	s := r.current()
	return s.Written, s.Lost
}

// current is the state now. It waits for nobody.
func (r *records) current() recordState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// close ends the file; later batches are dropped. A file that hangs is left to the end of the process.
func (r *records) close() {
	r.mu.Lock()
	last, stdout := r.pen, r.stdout
	r.mu.Unlock()
	r.use("", nil)
	stdout.end()
	last.ended(swapGrace)
}
