// Package artifact holds the values that producers and consumers of artifacts exchange: the digest
// of an artifact's bytes, the revision of the source it was made from, and the path under which it
// is stored and served. It does no I/O. The packages below it write, keep, serve and fetch the files.
package artifact

import "errors"

// ErrTooLarge is what the packages below this one wrap when something exceeds a limit. The message
// says what was too large, and for which limit.
var ErrTooLarge = errors.New("too large")
