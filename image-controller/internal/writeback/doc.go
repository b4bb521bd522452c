// Package writeback decides what a commit writes back to Git: it finds the files of a
// commit that have markers, sets the values that they mark, and makes the message.
//
// It promises that what it costs goes by the files with markers and by what has changed
// since it last looked, not by the size of the repository: it remembers of trees and files,
// by their hash, that there is no marker in them. The same input makes the same output to
// the byte. Templates of messages come from users: whatever is in them, they end soon and
// make little more than MaxMessage bytes.
//
// It writes nothing, asks nobody, and leaves the commit and its push to the caller.
package writeback
