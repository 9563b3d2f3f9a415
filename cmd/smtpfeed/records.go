package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/smtpfeed/smtpfeed/lmtp"
)

// flushAt bounds the memory of a batch: a list of 100,000 recipients settled at once is written in pieces of this many octets.
const flushAt = 1 << 20

// records is the delivery record file: one JSON object a line, appended with one write(2) a batch, so that a line of one
// process never stands inside a line of another (stdio writes to the same file). Trouble with the file never holds up mail:
// it is counted, told once an outage, and each later batch tries again.
type records struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	path    string     // "" is off, "-" is standard output
	file    *os.File   // nil while off or while the file cannot be opened
	encoder encoder
	torn    bool // the file ends inside a line: the disk was full in the middle of a write
	outage  bool // the last write failed and was told
	written uint64
	lost    uint64
}

// openRecords opens the file of path. A path that can never work is an error, because it is a mistake in the configuration; a
// full or broken disk is not, because mail matters more than its record.
func openRecords(path string, log *slog.Logger) (*records, error) {
	r := &records{log: log, path: path}
	file, err := openRecordFile(path)
	for _, mistake := range []error{fs.ErrNotExist, fs.ErrPermission, errNotRegular} {
		if errors.Is(err, mistake) {
			return nil, err
		}
	}
	r.file = file
	if err != nil {
		r.fail(err, 0)
	}
	return r, nil
}

// errNotRegular says that the path names a directory or a pipe; opening a pipe nobody reads would block.
var errNotRegular = errors.New("is not a file")

// openRecordFile opens what path names: nil for "".
func openRecordFile(path string) (*os.File, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return os.Stdout, nil
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return nil, fmt.Errorf("delivery records: %s %w; set log.deliveries to a file", path, errNotRegular)
	}
	// Addresses are personal data: readable for the group of the file, for nobody else.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("delivery records: %w; make its directory writable for the user smtpfeed runs as, or set log.deliveries", err)
	}
	return file, nil
}

// write appends one batch. It is lmtp.Config.Record.
func (r *records) write(batch []lmtp.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.path == "" {
		return
	}
	r.encoder.reset()
	first := 0
	for i := range batch {
		r.encoder.add(&batch[i])
		if len(r.encoder.line) >= flushAt {
			r.flush(i + 1 - first)
			first = i + 1
		}
	}
	r.flush(len(batch) - first)
}

// flush writes the n records gathered.
func (r *records) flush(n int) {
	if n == 0 {
		return
	}
	text := r.encoder.take(r.torn)
	if err := r.put(text); err != nil {
		r.fail(err, n)
		return
	}
	r.written += uint64(n)
	if r.outage {
		r.outage = false
		r.log.Info("delivery records are written again", "path", r.path, "lost", r.lost)
	}
}

// put writes text to the file, opening it when it is not.
func (r *records) put(text []byte) error {
	if r.file == nil {
		file, err := openRecordFile(r.path)
		if err != nil {
			return err
		}
		r.file = file
	}
	n, err := r.file.Write(text)
	if n > 0 {
		r.torn = text[n-1] != '\n'
	}
	return err
}

// fail counts n records that could not be written, and tells the first time.
func (r *records) fail(err error, n int) {
	r.lost += uint64(n)
	if !r.outage {
		r.outage = true
		r.log.Error("delivery records cannot be written; mail goes on without them", "path", r.path, "error", err)
	}
}

// reopen closes the file and opens that of path: after logrotate has moved the old one away, or with a new configuration. When the
// new one cannot be opened the old one stays.
func (r *records) reopen(path string) error {
	file, err := openRecordFile(path)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeFile()
	r.path, r.file, r.torn = path, file, false
	return nil
}

// counts are the records written and those lost.
func (r *records) counts() (written, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written, r.lost
}

// close ends the file; later batches are dropped.
func (r *records) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeFile()
	r.path = ""
}

func (r *records) closeFile() {
	if r.file != nil && r.file != os.Stdout {
		if err := r.file.Close(); err != nil {
			r.log.Warn("delivery records: the file did not close cleanly", "path", r.path, "error", err)
		}
	}
	r.file = nil
}
