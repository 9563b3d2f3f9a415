package sts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxLine is the longest line of a cache file that is read. A policy of 256 patterns has 70 KiB.
const maxLine = 256 << 10

// contents is what a cache file held.
type contents struct {
	policies []loaded
	damaged  int   // lines that were ignored
	first    error // why the first of them was
}

type loaded struct {
	p     *Policy
	asked time.Time
}

// readFile reads a cache file of at most limit octets; what stands behind them is ignored. Its error is about the whole file.
func readFile(path string, limit int64, now time.Time) (c contents, err error) {
	// A FIFO in the file's place must not stop the start of the process: it is opened without waiting, and not read.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	if !info.Mode().IsRegular() {
		return c, errors.New("not a regular file")
	}
	if info.Size() > limit {
		c.damage(fmt.Errorf("the file is larger than %d octets", limit))
	}
	return c, c.read(io.LimitReader(f, limit), now)
}

// read reads lines until the end.
func (c *contents) read(from io.Reader, now time.Time) error {
	r := bufio.NewReaderSize(from, maxLine)
	line, err := r.ReadSlice('\n')
	if string(line) != header+"\n" {
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
			err = errors.New("not a file of this version")
		}
		return err
	}
	for number := 2; ; number++ {
		line, err := r.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		switch {
		case long:
			c.damage(fmt.Errorf("line %d: too long", number))
		case len(line) > 0:
			c.add(line, number, now)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err // of the disk; what was read counts
		}
	}
}

// add takes a line. A policy that has expired is no damage.
func (c *contents) add(line []byte, number int, now time.Time) {
	if line[len(line)-1] == '\n' {
		line = line[:len(line)-1]
	}
	p, asked, err := parseRecord(line, now)
	switch {
	case err != nil:
		c.damage(fmt.Errorf("line %d: %w", number, err))
	case p.live(now):
		c.policies = append(c.policies, loaded{p, asked})
	}
}

func (c *contents) damage(err error) {
	c.damaged++
	if c.first == nil {
		c.first = err
	}
}

// writeFile replaces a cache file at once: whoever reads it, after whatever happened, finds the old one or the new one.
func writeFile(path string, policies []loaded) error {
	temp, err := createTemp(path)
	if err != nil {
		return err
	}
	err = errors.Join(writeAll(temp, policies), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// createTemp makes the file that will replace another one: always of the same name, so that crashes leave one behind and not
// many, and never one that exists, so that a link laid there leads nowhere.
func createTemp(path string) (*os.File, error) {
	name := path + ".tmp"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func writeAll(f *os.File, policies []loaded) (err error) {
	w := bufio.NewWriterSize(f, 64<<10)
	fmt.Fprintln(w, header)
	var line []byte
	for _, l := range policies {
		if line, err = appendRecord(line[:0], l.p, l.asked); err != nil {
			return err
		}
		w.Write(line) // the error stays until Flush
	}
	return errors.Join(w.Flush(), f.Sync())
}

// syncDir makes a rename outlive the loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
