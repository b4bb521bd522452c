// Package signature verifies the signatures of Git commits and tags against public
// keys that somebody trusts, and makes those of commits: OpenPGP and SSH signatures.
//
// It is pure. It reads objects as Git stores them, and the files that users keep public
// keys in; it opens nothing and asks nobody. What is no signature by one of the keys, at
// the time that is given, is an error, and so is an object that could be read in
// two ways.
package signature

import "errors"

// Errors that a caller may want to tell apart.
var (
	// ErrUnsigned: the object has no signature.
	ErrUnsigned = errors.New("it is not signed")
	// ErrMalformed: the object, or its signature, is not as Git writes them.
	ErrMalformed = errors.New("malformed object")
	// ErrUnsupported: the signature is of a kind that cannot be verified.
	ErrUnsupported = errors.New("unsupported signature")
	// ErrUntrusted: the signature is not a good one by any of the keys.
	ErrUntrusted = errors.New("no trusted key has made the signature")
	// ErrNoKey: there is no public key to verify with.
	ErrNoKey = errors.New("no public key")
)

const (
	// maxSignature bounds one armored signature.
	maxSignature = 64 << 10
	// maxFile bounds one file of keys. A Secret holds no more.
	maxFile = 1 << 20
	// maxKeys bounds how many keys there are in all files together.
	maxKeys = 4096
)
