package main

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smtpfeed/smtpfeed/test/killloop"
)

// A journal is the file, and the one who hears of what is written there.
type journal struct {
	number atomic.Int64 // of the last message
	ear    io.Writer    // a word and a line's end for each event, in one write

	mu   sync.Mutex // guards the file, so that entries stand in the order of their times
	file *os.File
}

// openJournal appends to a file. A line that a killed process left unfinished is ended first.
func openJournal(path string, ear io.Writer) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString("\n"); err != nil {
		return nil, err
	}
	return &journal{ear: ear, file: f}, nil
}

// write appends an entry. When it returns the entry outlives the process.
func (j *journal) write(e killloop.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.At = time.Now().UnixNano()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

func (j *journal) signal(word killloop.Event) error {
	_, err := io.WriteString(j.ear, string(word)+"\n")
	return err
}

func (j *journal) close() error { return j.file.Close() }
