package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	fileMode = 0o600
	// asideInfix stands between the path and the time in the name of a file that was set aside.
	asideInfix = ".corrupt-"
	// attemptSuffix names the file that counts attempts at opening which did not end.
	attemptSuffix = ".opening"
	// maxAttempts is when a file is taken for one that kills its reader. A process may be killed while it opens a good one: hence
	// not the second.
	maxAttempts = 3
)

var (
	errLocked  = errors.New("in use by another process")
	errNotFile = errors.New("not a regular file")
	errMoved   = errors.New("the file was moved or deleted")
)

// lockFile opens the file, or makes it, and locks it as bbolt does. It never waits: not for the lock, nor for somebody at the
// other end of a fifo.
func lockFile(path string, flags int) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNotFile}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK|flags, fileMode)
	if err != nil {
		return nil, err
	}
	if err = lock(f); err == nil {
		err = sameFile(f, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		err = errLocked
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// sameFile is an error if path no longer leads to f: then a lock on it keeps nobody out.
func sameFile(f *os.File, path string) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !os.SameFile(own, there) {
		return &fs.PathError{Op: "open", Path: path, Err: errMoved}
	}
	return nil
}

// attempt counts one more attempt at opening path, one octet each, and returns how many there were since the last that ended.
// Where that cannot be counted, a file that kills its reader kills it: the same directory could not take the new file either.
func attempt(path string) int64 {
	f, err := os.OpenFile(path+attemptSuffix, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK, fileMode)
	if err != nil {
		return 0
	}
	defer f.Close()
	if _, err := f.Write([]byte{'x'}); err != nil {
		return 0
	}
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// attempted forgets the attempts: this one ended, well or not.
func attempted(path string) { os.Remove(path + attemptSuffix) }

// setAside renames the locked file f, so that somebody can look at it, deletes those set aside before, and begins a new one.
// f is closed in any case.
func setAside(f *os.File, path string, now time.Time) (*os.File, error) {
	defer f.Close()
	aside := path + asideInfix + now.UTC().Format("20060102T150405Z")
	if err := os.Rename(path, aside); err != nil {
		return nil, err
	}
	removeOthers(path, filepath.Base(aside))
	return lockFile(path, os.O_EXCL)
}

// removeOthers deletes the files of path that were set aside, but one: a disk that breaks files must not be filled by them.
func removeOthers(path, keep string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+asideInfix) && e.Name() != keep {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// syncDir makes a new name in a directory survive the loss of power: fdatasync on the file does not.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// advice is what an administrator can do about err.
func advice(path string, err error) string {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, errLocked):
		return "end the other process, or give each process a ledger of its own"
	case errors.Is(err, errMoved):
		return "nothing: a new file is begun; stop smtpfeed before you move or delete the file"
	case errors.Is(err, errNotFile):
		return "name a file: what stands at the path is something else"
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("make the directory %s, and let the user that runs smtpfeed write to it", dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("let the user that runs smtpfeed write to %s", dir)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Sprintf("make room on the file system of %s", dir)
	default:
		return "look at the disk and at the kernel's log"
	}
}
