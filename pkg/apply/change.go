package apply

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/manifest"
)

// Effect is what became of an object.
type Effect int

const (
	// Unchanged: it was as it should be.
	Unchanged Effect = iota
	// Created: it did not exist.
	Created
	// Configured: it was changed.
	Configured
	// Recreated: it could not be changed, so it was deleted and created.
	Recreated
	// Deleted: it was removed.
	Deleted
	// Skipped: an annotation asks to leave it alone.
	Skipped
)

// String returns the word that events use.
func (e Effect) String() string {
	names := [...]string{"unchanged", "created", "configured", "recreated", "deleted", "skipped"}
	if e < 0 || int(e) >= len(names) {
		return fmt.Sprintf("Effect(%d)", int(e))
	}
	return names[e]
}

// Change is one object and what became of it.
type Change struct {
	ID     manifest.ID
	Effect Effect
	// Restored says that somebody had changed or deleted the object; of a dry run, that
	// it is not as an apply would leave it.
	Restored bool
	// Before is the object as it was found, for what is restored; nil if it was gone.
	Before *unstructured.Unstructured
	// Live is the answer to the apply: the whole object where the plan asked for
	// that, else its metadata; nil where nothing was asked. Of a dry run, it is the
	// object as it would be, for what is not as it should.
	Live *unstructured.Unstructured

	target target
}

// effectOf tells what an apply did from its answer: one that changes nothing
// leaves the resource version as it was.
func effectOf(a answer, w *write) Effect {
	switch {
	case w.recreate:
		return Recreated
	case a.created:
		return Created
	case w.version != "" && w.version == a.object.GetResourceVersion():
		return Unchanged
	case w.change.Before != nil && sameButBookkeeping(w.change.Before, a.object):
		return Unchanged // we have only become the owner of what is there
	default:
		return Configured
	}
}
