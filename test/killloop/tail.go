package killloop

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// A Tail reads a file of lines that others append to and are killed while they do.
type Tail struct {
	path string
	at   int64
}

// NewTail reads a file from its beginning. It need not exist yet.
func NewTail(path string) *Tail { return &Tail{path: path} }

// Lines gives each line since the last call to a decoder. What it cannot decode is a line that a killed process did not finish:
// those are counted. The end of the file counts as the end of a line: nobody may be writing.
func (t *Tail) Lines(decode func(line []byte) error) (torn int, err error) {
	f, err := os.Open(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, t.at, 1<<40))
	t.at += int64(len(text))
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && decode(line) != nil {
			torn++
		}
	}
	return torn, err
}

// Entries reads a recorder's.
func (t *Tail) Entries() (all []Entry, torn int, err error) {
	torn, err = t.Lines(func(line []byte) error { return decode(line, &all) })
	return all, torn, err
}

// Records reads smtpfeed's delivery records.
func (t *Tail) Records() (all []Record, torn int, err error) {
	torn, err = t.Lines(func(line []byte) error { return decode(line, &all) })
	return all, torn, err
}

// Answers reads smtpfeed's log.
func (t *Tail) Answers() (all []Answer, err error) {
	_, err = t.Lines(func(line []byte) error {
		if a, ok := answerIn(string(line)); ok {
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

// decode appends what a line of JSON holds.
func decode[T any](line []byte, all *[]T) error {
	var one T
	if err := json.Unmarshal(line, &one); err != nil {
		return err
	}
	*all = append(*all, one)
	return nil
}
