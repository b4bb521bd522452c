package drift

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/apply"
)

// object is one object: how we left it, and how it was last seen.
type object struct {
	resource schema.GroupVersionResource
	last     *apply.Applied // nil if it is not ours
	left     print
	seen     print
	uid      types.UID
	version  string // resource version of seen; empty if it was never seen
	wishes   apply.Wishes
	gone     bool
	noticed  *notice // of a dry run that found it otherwise than left; nil if it was applied

	since    time.Time // when it was first seen drifted after the last application
	answered time.Time // since, of the drift that the last application mended
	contest  *contest  // nil unless it was restored since its content last changed
}

// contest is what more is kept of an object that was restored, in case that somebody
// fights for it.
type contest struct {
	fight      fight
	yielded    *fieldpath.Set // left to others for now
	ceded      bool           // the object is, as a whole
	owed       bool           // a pause is over, and the field not ours yet
	left, seen stand          // what the prints of the object are of
	timer      *time.Timer    // the end of the next pause
}

// newContest returns the contest for an object that was left as s.
func newContest(s stand) *contest {
	return &contest{fight: make(fight), yielded: fieldpath.NewSet(), left: s}
}

// stand is who owns what in an object, as far as it concerns us.
type stand struct {
	owner   string   // by the labels
	fields  []byte   // our entry in managedFields; nil if there is none
	claimed []claims // fields that others have and that are to be ours
}

// claims are the fields of one manager that are to be ours. Whoever takes one from another of
// these has changed it.
type claims struct {
	of     string // the manager, and how it has them; "" if that is no matter
	fields []byte
}

// print is a digest of a stand.
type print [16]byte

// print digests s without some fields.
func (s stand) print(without *fieldpath.Set) print {
	h := sha256.New()
	h.Write([]byte(s.owner))
	h.Write(less(s.fields, without))
	for _, c := range s.claimed {
		if fields := less(c.fields, without); len(fields) > 0 && string(fields) != "{}" {
			h.Write([]byte("\nclaimed " + c.of + " "))
			h.Write(fields)
		}
	}
	var p print
	copy(p[:], h.Sum(nil))
	return p
}

// less takes some fields out of an entry of managedFields.
func less(fields []byte, without *fieldpath.Set) []byte {
	if without == nil || without.Empty() {
		return fields
	}
	set, err := parse(fields)
	if err != nil {
		return fields
	}
	data, err := set.RecursiveDifference(without).ToJSON()
	if err != nil {
		return fields
	}
	return data
}

// owns reports whether a field, or one below it, is ours.
func (s stand) owns(p fieldpath.Path) bool {
	set, err := parse(s.fields)
	return err == nil && (set.Has(p) || hasBelow(set, p))
}

// parse reads the fields of an entry in managedFields.
func parse(fields []byte) (*fieldpath.Set, error) {
	set := fieldpath.NewSet()
	if len(fields) == 0 {
		return set, nil
	}
	return set, set.FromJSON(bytes.NewReader(fields))
}

// standOf returns who owns what in an object.
func (w *Watcher) standOf(obj metav1.Object) stand {
	labels := obj.GetLabels()
	s := stand{owner: labels[w.opts.OwnerNamespace] + "/" + labels[w.opts.OwnerName] + "/"}
	for _, f := range obj.GetManagedFields() {
		if ours(f, w.opts.Manager) && f.FieldsV1 != nil {
			s.owner += f.APIVersion
			s.fields = f.FieldsV1.GetRawBytes()
		}
	}
	s.claimed = w.claimsOn(obj)
	return s
}

// claimsOn returns what is to be ours of an object, in an order that does not depend on when
// others wrote.
func (w *Watcher) claimsOn(obj metav1.Object) []claims {
	var all []claims
	add := func(of string, set *fieldpath.Set) {
		if fields, err := set.ToJSON(); err == nil {
			all = append(all, claims{of: of, fields: fields})
		}
	}
	for _, c := range w.managers.Claims(obj, nil) {
		add(c.Entry.Manager+" "+string(c.Entry.Operation)+" "+c.Entry.APIVersion, c.Fields)
	}
	if left := w.managers.Leftovers(obj); len(left) > 0 {
		add("", fieldpath.NewSet(left...))
	}
	slices.SortFunc(all, func(a, b claims) int { return cmp.Or(strings.Compare(a.of, b.of), bytes.Compare(a.fields, b.fields)) })
	return all
}

// drifted reports whether the object is otherwise than we left it, but for what is
// left to others for now.
func (o *object) drifted() bool {
	switch {
	case o.last == nil:
		return false
	case o.noticed != nil && o.gone:
		return !o.last.Expires
	case o.version == "":
		return false
	case o.contest != nil && o.contest.ceded:
		return false
	case o.contest != nil && o.contest.owed, o.noticed != nil && !newer(o.version, o.last.Version):
		return !o.wishes.LeaveAlone || o.gone
	case !newer(o.version, o.last.Version):
		return false
	case o.gone:
		return !o.last.Expires
	case o.last.Once, o.wishes.LeaveAlone:
		return false
	default:
		return o.uid != o.last.UID || o.seen != o.left
	}
}

// yielded returns the fields that are left to others for now.
func (o *object) yielded() *fieldpath.Set {
	if o.contest == nil {
		return nil
	}
	return o.contest.yielded
}

// without returns the fields that do not count.
func (o *object) without() *fieldpath.Set {
	yielded := o.yielded()
	switch {
	case o.last == nil || o.last.Ignored == nil:
		return yielded
	case yielded == nil:
		return o.last.Ignored
	}
	return yielded.Union(o.last.Ignored)
}

// leave records how an application left the object.
func (o *object) leave(s stand) {
	o.left = s.print(o.without())
	if o.contest != nil {
		o.contest.left = s
	}
}

// see records how the object was seen.
func (o *object) see(s stand, obj metav1.Object, wishes apply.Wishes) {
	o.seen, o.gone = s.print(o.without()), false
	o.uid, o.version, o.wishes = obj.GetUID(), obj.GetResourceVersion(), wishes
	if o.contest != nil {
		o.contest.seen = s
	}
}

// settle brings what is left to others up to date. A field whose pause is over is owed
// to us unless it has come back by itself.
func (o *object) settle(now time.Time) {
	c := o.contest
	before := c.yielded
	c.yielded, c.ceded = c.fight.yielded(now)
	before.Difference(c.yielded).Iterate(func(p fieldpath.Path) {
		c.owed = c.owed || !c.seen.owns(p)
	})
	if before.Empty() && c.yielded.Empty() {
		return // the prints are of whole stands, as they should be
	}
	o.left, o.seen = c.left.print(o.without()), c.seen.print(o.without())
}

// end forgets that anybody fought for the object.
func (o *object) end() {
	if o.contest != nil && o.contest.timer != nil {
		o.contest.timer.Stop()
	}
	o.contest = nil
}
