package main

import (
	"bytes"
	"sync"
	"time"
)

// A recordFile is what a pen writes: a file, standard output, or in tests one that fails as told.
type recordFile interface {
	Write(text []byte) (int, error)
	Close() error
	// look says how the file ends, and whether it is gone: what is written to it would not be found any more.
	look() (end fileEnd, gone bool)
	// keep says that after this error of Write the file may work again, and a new one opened in its place would work no better.
	keep(err error) bool
}

// A fileEnd says where a file ends.
type fileEnd uint8

const (
	endOurs   fileEnd = iota // where we left it, or nobody can know better
	endLine                  // behind a line
	endInside                // inside one
)

// A piece is records on their way to the file.
type piece struct {
	text []byte // behind one octet that is '\n', for when a torn line must be ended first
	n    int    // records
	pen  *pen   // that it is given to
	done chan struct{}

	given bool   // up; written by the batch's goroutine under records.mu, and only before done is closed
	news  func() // what the batch's goroutine has to tell; set before done is closed
}

// A pen is the goroutine that opens, writes and closes one file. A write to a pipe that nobody reads, to a stopped terminal or to a
// disk that hangs cannot be interrupted, and non-blocking writes are no way out: a disk knows none, and O_NONBLOCK on a standard
// output would be set for every process that shares it. So the pen waits, alone, and whoever gave it something need not. It has
// at most one piece. It ends with end, or when the write ends in which it is stuck.
type pen struct {
	path    string
	records *records
	work    chan *piece   // from the batch that has the turn; no capacity: what a pen has not begun can be taken elsewhere
	opened  chan error    // to newPen, once; capacity 1, as newPen may have gone on
	ending  chan struct{} // closed by end
	over    chan struct{} // closed by the goroutine as its last act
	once    sync.Once

	stuck bool // mail goes on without the piece it has; guarded by records.mu

	// Owned by the goroutine.
	file recordFile // nil while it cannot be opened
	torn bool       // what was written last ends inside a line: the disk was full in the middle of a write
}

// startPen starts a pen; the result of opening its file comes from opened.
func startPen(path string, r *records) *pen {
	p := &pen{path: path, records: r, work: make(chan *piece), opened: make(chan error, 1), ending: make(chan struct{}), over: make(chan struct{})}
	go p.run()
	return p
}

// end ends the pen; not the one of nobody.
func (p *pen) end() {
	if p != nil {
		p.once.Do(func() { close(p.ending) })
	}
}

// ended waits for the end, but not for ever.
func (p *pen) ended(patience time.Duration) {
	if p == nil {
		return
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.over:
	case <-t.C:
	}
}

func (p *pen) run() {
	defer close(p.over)
	defer p.drop()
	p.opened <- p.open()
	for {
		select {
		case s := <-p.work:
			lines, err := p.put(s.text)
			p.records.settled(s, lines, err)
		case <-p.ending:
			return
		}
	}
}

func (p *pen) open() (err error) {
	p.file, err = p.records.open(p.path)
	if err != nil {
		p.file = nil
	}
	return err
}

// put writes text, and says how many lines of it are whole in the file.
func (p *pen) put(text []byte) (lines int, err error) {
	inside, err := p.ready()
	if err != nil {
		return 0, err
	}
	if !inside {
		text = text[1:]
	}
	n, err := p.file.Write(text)
	lines = bytes.Count(text[:n], []byte("\n"))
	if inside && n > 0 {
		lines--
	}
	if n > 0 {
		p.torn = text[n-1] != '\n'
	}
	if err != nil && !p.file.keep(err) {
		p.drop()
	}
	return lines, err
}

// ready opens the file when it is not open, or when it was removed behind our back: records in a file without a name are lost without a
// word. It says whether the file ends inside a line.
func (p *pen) ready() (inside bool, err error) {
	if p.file != nil {
		end, gone := p.file.look()
		if !gone {
			return p.inside(end), nil
		}
		p.records.log.Warn("delivery records: the file was removed; a new one is made", "path", p.path)
		p.drop()
		p.torn = false
	}
	if err := p.open(); err != nil {
		return false, err
	}
	end, _ := p.file.look()
	return p.inside(end), nil
}

// inside says that a line must be ended before the next one.
func (p *pen) inside(end fileEnd) bool { return end == endInside || end == endOurs && p.torn }

// drop closes the file.
func (p *pen) drop() {
	if p.file == nil {
		return
	}
	if err := p.file.Close(); err != nil {
		p.records.log.Warn("delivery records: the file did not close cleanly", "path", p.path, "error", err)
	}
	p.file = nil
}
