// Package objects is what the clients of all object storages have in common: what they
// say of an object, how they fail, and how they reach a server.
//
// A client answers within limits, whatever the server sends; follows no redirect, so
// that credentials and signatures go to the host of the spec alone; and returns errors
// that tell neither. Which objects are wanted, and where they are kept, is the
// caller's.
package objects

import (
	"errors"
	"fmt"
	"io"

	"weir.dev/pkg/artifact"
)

// Object is an object as a storage tells of it.
type Object struct {
	Key  string
	ETag string // without quotes; another one with other content
	Size int64  // negative if it cannot be told
	// Version is what a client needs to get this very state of the object, where its
	// storage can do that.
	Version string
}

var (
	// ErrNoBucket is wrapped when the bucket does not exist.
	ErrNoBucket = errors.New("bucket not found")

	// ErrGone is wrapped when an object does not exist, or not any more.
	ErrGone = errors.New("object not found")

	// ErrInvalid is wrapped when no server needs to be asked: what the client was given
	// cannot be used.
	ErrInvalid = errors.New("invalid bucket")

	// ErrTooLarge is wrapped by errors that say which limit is exceeded.
	ErrTooLarge = artifact.ErrTooLarge
)

// Copy copies an object of at most limit bytes.
func Copy(dst io.Writer, src io.Reader, limit int64) (int64, error) {
	n, err := io.Copy(dst, io.LimitReader(src, limit))
	if err != nil || n < limit {
		return n, err
	}
	var more [1]byte
	if _, err := io.ReadFull(src, more[:]); errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, fmt.Errorf("%w: the object has more than the %d bytes that are left to it", ErrTooLarge, limit)
}
