// Package edits finds out what was changed by hand in objects that a controller applies: by
// the events in which controllers tell of it, and by who owns the fields of live objects.
//
// It decides on what it is given, and reads nothing. Values of Secrets stay masked, as they
// are in the events.
package edits

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/correction"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/manifest"
)

// Outcome is what became of an edit.
type Outcome string

const (
	// Restored: it was undone.
	Restored Outcome = "restored"
	// Reported: it was found, and left as it is.
	Reported Outcome = "reported"
	// Contested: it was undone several times in a row, and is left alone for a while.
	Contested Outcome = "contested"
	// Left: it is in the cluster now, and nobody is going to undo it.
	Left Outcome = "left"
)

// Edit is a change by hand of one field, or of an object as a whole.
type Edit struct {
	// Object is the object that was changed, as Kind/namespace/name.
	Object string `json:"object"`
	// Field is empty if the edit is about the object as a whole; What says what then.
	Field string `json:"field,omitempty"`
	What  string `json:"what,omitempty"`
	// From is the value that the source asks for, as JSON, and To the one that was found; ""
	// where there is none, or where it is not known.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Manager is the field manager that made it; "" where nobody knows.
	Manager string `json:"manager,omitempty"`
	// Time is when it was made, and Seen when it was last told of.
	Time time.Time `json:"time,omitzero"`
	Seen time.Time `json:"seen,omitzero"`
	// Outcome is what became of it.
	Outcome Outcome `json:"outcome"`
	// Owner is what applies the object, as Kind/namespace/name.
	Owner string `json:"owner"`
}

// outcomes are the reasons of events about edits. Those of Kustomizations are the same.
var outcomes = map[string]Outcome{
	helmv2.ReasonDriftCorrected: Restored, helmv2.ReasonDriftContested: Contested, helmv2.ReasonDriftDetected: Reported,
}

// Reasons are those of the events that OfEvent reads, sorted.
func Reasons() []string {
	var all []string
	for reason := range outcomes {
		all = append(all, reason)
	}
	slices.Sort(all)
	return all
}

// OfEvent returns the edits that an event tells of, which was last seen at a time; none if
// it is about something else.
func OfEvent(e *corev1.Event, seen time.Time) []Edit {
	outcome, ok := outcomes[e.Reason]
	if !ok {
		return nil
	}
	about := e.InvolvedObject
	base := Edit{Outcome: outcome, Seen: seen, Owner: about.Kind + "/" + about.Namespace + "/" + about.Name}
	group := groupOf(about.APIVersion)
	fact := func(key string) []string {
		if text := e.Annotations[group+"/"+key]; text != "" {
			return strings.Split(text, "\n")
		}
		return nil
	}
	objects, fields := fact(correction.MetaObject), fact(correction.MetaField)
	if len(objects) == 0 || len(fields) == 0 {
		return ofMessage(e.Message, base)
	}
	base.Object = objects[0]
	// A value that is empty in all lines is no fact at all.
	from, to, manager, at := fact(correction.MetaFrom), fact(correction.MetaTo), fact(correction.MetaManager), fact(correction.MetaTime)
	var out []Edit
	for i, field := range fields {
		edit := base
		edit.Field, edit.From, edit.To, edit.Manager = field, line(from, i), line(to, i), line(manager, i)
		edit.Time, _ = time.Parse(time.RFC3339, line(at, i)) // zero where it is not told
		out = append(out, edit)
	}
	return out
}

// combined is what a recorder puts before the last of many events that are alike. It keeps
// none of their metadata.
const combined = "(combined from similar events): "

// told is a change as a line of a message has it.
var told = regexp.MustCompile(`^(\S+) (.+?) -> (.+?) by (somebody unknown|\S+?)(?: at (\d\d:\d\d:\d\dZ))?(?:, (.*))?$`)

// ofMessage returns the edits that the message of an event tells of, a line each.
func ofMessage(message string, base Edit) []Edit {
	var out []Edit
	for text := range strings.SplitSeq(strings.TrimPrefix(message, combined), "\n") {
		object, what, ok := strings.Cut(text, ": ")
		if !ok {
			continue // of a long message there may be half a line
		}
		edit := base
		edit.Object, edit.What = object, strings.TrimSuffix(what, ", restored")
		if m := told.FindStringSubmatch(what); m != nil {
			edit.Field, edit.From, edit.To, edit.What = m[1], something(m[2]), something(m[3]), ""
			if m[4] != "somebody unknown" {
				edit.Manager = m[4]
			}
			edit.Time = before(base.Seen, m[5])
			if m[6] != "restored" {
				edit.What = m[6]
			}
		}
		out = append(out, edit)
	}
	return out
}

// something returns a value as facts have it, where there is none in words.
func something(value string) string {
	if value == "nothing" {
		return ""
	}
	return value
}

// before returns the last time before another that a clock showed that.
func before(seen time.Time, clock string) time.Time {
	at, err := time.Parse("15:04:05Z", clock)
	if err != nil {
		return time.Time{} // which is not told
	}
	seen = seen.UTC()
	day := time.Date(seen.Year(), seen.Month(), seen.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	if day.After(seen.Add(time.Minute)) { // clocks differ a little
		day = day.AddDate(0, 0, -1)
	}
	return day
}

// line returns a line of a fact, "" if it has not that many.
func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

func groupOf(apiVersion string) string {
	group, _, _ := strings.Cut(apiVersion, "/")
	return group
}

// controllers are the field managers of what applies objects.
var controllers = []string{"kustomize-controller", "helm-controller"}

// machines are words in the names of field managers that are part of a cluster, or work in
// it. What they write is no edit.
var machines = []string{
	"controller", "operator", "kubelet", "scheduler", "apiserver", "kube-proxy", "autoscaler", "injector", "webhook",
	"vpa-", "pilot-discovery", "kyverno",
}

// ByHand reports whether a field manager may be a person, or a tool of one, by its name.
func ByHand(manager string) bool {
	return manager != "" && !slices.ContainsFunc(machines, func(word string) bool { return strings.Contains(manager, word) })
}

// Standing returns the fields of a live object that somebody has set by hand, and that no
// controller owns, with what they are set to: what is added to what the source says, or
// what a rule of the owner leaves to others.
func Standing(obj *unstructured.Unstructured, owner string) ([]Edit, error) {
	own, others, managers, err := holders(obj)
	if err != nil {
		return nil, err
	}
	held := others.Leaves().Difference(own)
	if held.Empty() {
		return nil, nil
	}
	live := obj.DeepCopy()
	unstructured.RemoveNestedField(live.Object, "metadata", "annotations", kustomizev1.KeySSA) // by which nothing is taken over, and nothing told
	changes, err := drift.Explain(live, manifest.Without(live, held), controllers[0], managers...)
	if err != nil {
		return nil, fmt.Errorf("reading who owns what in %s: %w", manifest.IDOf(obj), err)
	}
	var out []Edit
	for _, c := range changes {
		out = append(out, Edit{
			Object: manifest.IDOf(obj).String(), Field: c.Path, To: c.To, Manager: c.Manager, Time: c.Time, Outcome: Left, Owner: owner,
		})
	}
	return out, nil
}

// holders returns which fields of an object are a controller's, which are set by hand, and
// by whom.
func holders(obj *unstructured.Unstructured) (own, others *fieldpath.Set, managers []string, err error) {
	own, others = fieldpath.NewSet(), fieldpath.NewSet()
	for _, e := range obj.GetManagedFields() {
		if e.FieldsV1 == nil || e.Subresource != "" {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(strings.NewReader(e.FieldsV1.GetRawString())); err != nil {
			return nil, nil, nil, fmt.Errorf("managedFields of %q in %s: %w", e.Manager, manifest.IDOf(obj), err)
		}
		switch {
		case slices.Contains(controllers, e.Manager) && e.Operation == metav1.ManagedFieldsOperationApply:
			own = own.Union(set)
		case ByHand(e.Manager):
			others = others.Union(set)
			managers = append(managers, e.Manager)
		}
	}
	return own, others, managers, nil
}

// Sort orders edits by when they were made, or else seen: those that stand without a time
// come first, and the latest last. What several events or managers tell of is there once.
func Sort(all []Edit) []Edit {
	slices.SortStableFunc(all, func(a, b Edit) int {
		return cmp.Or(a.When().Compare(b.When()), strings.Compare(a.Object, b.Object), strings.Compare(a.Field, b.Field))
	})
	last := make(map[Edit]int)
	var out []Edit
	for _, e := range all {
		key := e
		key.Seen = time.Time{}
		if e.Outcome == Left || e.Outcome == Reported { // which are the same to whoever looks at the object
			key = Edit{Object: e.Object, Field: e.Field, What: e.What, To: e.To, Owner: e.Owner}
		}
		i, again := last[key]
		switch {
		case !again || e.Time.IsZero() && e.Outcome != Left && e.Outcome != Reported:
			last[key] = len(out)
			out = append(out, e)
		case out[i].Outcome == Left:
			e.Seen = later(e.Seen, out[i].Seen)
			out[i] = e // an event says more
		default:
			out[i].Seen = later(e.Seen, out[i].Seen)
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// When is when an edit was made, or else when it was seen.
func (e Edit) When() time.Time {
	if !e.Time.IsZero() {
		return e.Time
	}
	return e.Seen
}
