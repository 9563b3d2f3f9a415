package ledger

import (
	"errors"
	"fmt"
	"runtime/debug"

	berrors "go.etcd.io/bbolt/errors"
)

// A damage is what is wrong with the file itself, so that waiting does not help: it is set aside.
type damage struct{ what string }

func (d *damage) Error() string { return "damaged: " + d.what }

// guarded calls f, which uses bbolt, and makes a panic a damage. bbolt asserts what it reads of its pages, and a page of the
// mapping that the file has lost, or the disk cannot read, is a fault (SIGBUS). After a damage the DB must not be touched
// again, its locks may be held.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &damage{fmt.Sprint(p)}
		}
	}()
	return asDamage(f())
}

// asDamage tells the errors that bbolt has for bad files from those of the disk.
func asDamage(err error) error {
	of := []error{
		berrors.ErrInvalid, berrors.ErrChecksum, berrors.ErrVersionMismatch, berrors.ErrIncompatibleValue, berrors.ErrBucketNotFound,
	}
	for _, bad := range of {
		if errors.Is(err, bad) {
			return &damage{err.Error()}
		}
	}
	return err
}
