package tlsrpt

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	stateName   = "tlsrpt.state"
	damagedName = "tlsrpt.state.damaged"
	lockName    = "tlsrpt.lock"
	tempPrefix  = ".tlsrpt-"

	directoryMode = 0o750
	reportMode    = 0o640
	stateMode     = 0o600
)

var errInUse = errors.New("in use by another process")

// A disk is the directory, locked.
type disk struct {
	path string
	lock *os.File
}

// openDisk makes the directory if need be, and keeps other processes out.
func openDisk(path string) (*disk, error) {
	if err := os.MkdirAll(path, directoryMode); err != nil {
		return nil, err
	}
	name := filepath.Join(path, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, stateMode)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		err = errInUse
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return &disk{path, f}, nil
}

func (d *disk) close() { d.lock.Close() }

// inside calls f with the directory. It is opened anew each time, so that one that was deleted and made again is used again.
func (d *disk) inside(f func(*os.Root) error) error {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// write makes or replaces a file: readers see the old content or the new one, also after the loss of power.
func (d *disk) write(name string, mode fs.FileMode, content func(io.Writer) error) error {
	return d.inside(func(root *os.Root) error {
		temp := tempName()
		err := fill(root, temp, mode, content)
		if err == nil {
			err = root.Rename(temp, name)
		}
		if err != nil {
			_ = root.Remove(temp)
			return fmt.Errorf("writing %s: %w", filepath.Join(d.path, name), err)
		}
		return syncDirectory(root)
	})
}

func tempName() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return tempPrefix + hex.EncodeToString(b)
}

func fill(root *os.Root, name string, mode fs.FileMode, content func(io.Writer) error) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 64<<10)
	err = content(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDirectory(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// readState calls f with the state file, if there is one.
func (d *disk) readState(f func(io.Reader) error) error {
	return d.inside(func(root *os.Root) error {
		file, err := root.OpenFile(stateName, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer file.Close()
		return f(file)
	})
}

// setAside renames a damaged state file, so that somebody can look at it. There is only ever one.
func (d *disk) setAside() error {
	return d.inside(func(root *os.Root) error { return root.Rename(stateName, damagedName) })
}

// sweep removes reports whose day ended before a time.
func (d *disk) sweep(before time.Time) error {
	names := reportNames()
	return d.each(func(root *os.Root, name string) error {
		if end, ok := endOf(names, name); ok && end.Before(before) {
			return root.Remove(name)
		}
		return nil
	})
}

// clear removes what a killed process left half written. Nothing may be written meanwhile.
func (d *disk) clear() error {
	return d.each(func(root *os.Root, name string) error {
		if strings.HasPrefix(name, tempPrefix) {
			return root.Remove(name)
		}
		return nil
	})
}

// each calls f with every regular file's name.
func (d *disk) each(f func(root *os.Root, name string) error) error {
	return d.inside(func(root *os.Root) error {
		entries, err := fs.ReadDir(root.FS(), ".")
		for _, e := range entries {
			if e.Type().IsRegular() {
				err = errors.Join(err, f(root, e.Name()))
			}
		}
		return err
	})
}
