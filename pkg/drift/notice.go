package drift

import (
	"time"

	"weir.dev/pkg/apply"
)

// notice is what the owner of an object was told of its drift, which it left as it is.
type notice struct {
	gone bool
	seen print // unless it was gone
}

// notice records how an object was found that a dry run would put back; nil if it was
// applied, or found as it should be. The lock is held.
func (w *Watcher) notice(o *object, a apply.Applied) *notice {
	switch found := a.Noticed; {
	case a.Object == nil:
		o.gone = true
		return &notice{gone: true}
	case found == nil:
		return nil
	default:
		s := w.standOf(found)
		if o.version == "" || newer(found.GetResourceVersion(), o.version) { // without its labels, it is not watched
			o.see(s, found, w.opts.Wishes(found))
		}
		return &notice{seen: s.print(o.without())}
	}
}

// noteDrift reports whether o has drifted, and otherwise than its owner knows, and remembers
// since when. The lock is held.
func (w *Watcher) noteDrift(o *object) bool {
	if !o.drifted() {
		return false
	}
	if o.since.IsZero() {
		o.since = time.Now()
	}
	return o.noticed == nil || o.noticed.gone != o.gone || !o.gone && o.noticed.seen != o.seen
}
