package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

// Applied is how an object was left by an apply.
type Applied struct {
	ID       manifest.ID
	Resource schema.GroupVersionResource
	// Owner is the API object on whose behalf it was applied.
	Owner types.NamespacedName
	// Content is the digest of what was applied.
	Content string
	UID     types.UID
	Version string // resource version
	// Expires says that the object goes away by itself when it is done, so that its
	// end is nobody's deed.
	Expires bool
	// Object is the answer of the API server; it is not kept.
	Object metav1.Object
}

// Live is an object as it was last seen.
type Live struct {
	UID             types.UID
	ResourceVersion string
	// Wishes are what the object itself asks for, by its labels and annotations.
	Wishes Wishes
}

// Exists reports whether the object was seen, and is not gone.
func (l Live) Exists() bool { return l.ResourceVersion != "" }

// Known is what a Tracker knows of an object.
type Known struct {
	// Last is the last application by this process; zero if there was none.
	Last Applied
	// Intact says that the object is known to be as it was left, but for Yielded.
	Intact bool
	// Live is the object as it was last seen; zero if it was not, or is gone.
	Live Live
	// Yielded are fields that are left to somebody else for now; nil means none.
	Yielded *fieldpath.Set
}

// Tracker remembers how objects were left and knows whether they still are.
type Tracker interface {
	// Expect tells of which resources, and kinds, objects are about to be applied. It
	// returns when those that there are have been seen, or cannot be. After the
	// applies, done is called.
	Expect(ctx context.Context, kinds map[schema.GroupVersionResource]schema.GroupKind) (done func())
	// Recall returns what is known of an object.
	Recall(manifest.ID) Known
	// Applied tells how an object was left.
	Applied(Applied)
	// Forget tells that an object is no longer ours.
	Forget(manifest.ID)
}

// Plan is what is to be done about a set of objects.
type Plan struct {
	// Owner is on whose behalf the objects are applied.
	Owner types.NamespacedName
	// Stages are in the order of application; none is empty.
	Stages []Stage
	// Inventory has every object of the plan.
	Inventory inventory.Set
}

// Stage is a batch of objects that is validated as a whole.
type Stage struct {
	Stage manifest.Stage
	Items []Item
}

// Item is one object of a plan.
type Item struct {
	ID      manifest.ID
	Object  *unstructured.Unstructured
	Content string // digest of Object
	Action  Action
}

// Action is what is to be done about an object.
type Action int

const (
	// Keep: it is as it should be; no request is made.
	Keep Action = iota
	// Skip: an annotation asks to leave it alone.
	Skip
	// Write: validate it, then apply it.
	Write
	// Renew: apply it without validation; an earlier process applied the same set.
	Renew
	// Restore: apply it without validation; this process applied the same content,
	// and somebody has changed the object since.
	Restore
)

// String returns the name of the action.
func (a Action) String() string {
	names := [...]string{"Keep", "Skip", "Write", "Renew", "Restore"}
	if a < 0 || int(a) >= len(names) {
		return fmt.Sprintf("Action(%d)", int(a))
	}
	return names[a]
}

// writes reports whether the action sends anything.
func (a Action) writes() bool { return a != Keep && a != Skip }

// Options are about a plan as a whole.
type Options struct {
	Owner types.NamespacedName
	// Proven says that the same content was applied completely before, possibly by
	// an earlier process, so that nothing needs a dry run.
	Proven bool
}

// NewPlan decides what to do about each object. It asks tracker only, never the
// API server. Two objects of one identity are an error, and so are names that would
// lead somewhere else in the API.
func NewPlan(objs []*unstructured.Unstructured, tracker Tracker, opts Options) (Plan, error) {
	p := Plan{Owner: opts.Owner, Inventory: make(inventory.Set, len(objs))}
	stages := make(map[manifest.Stage][]Item)
	for _, obj := range objs {
		id := manifest.IDOf(obj)
		if err := checkName(id); err != nil {
			return Plan{}, err
		}
		if _, twice := p.Inventory[id]; twice {
			return Plan{}, fmt.Errorf("%s is defined twice", id)
		}
		p.Inventory[id] = obj.GroupVersionKind().Version
		item := Item{ID: id, Object: obj, Content: contentOf(obj)}
		item.Action = decide(item, tracker, opts)
		stage := manifest.StageOf(id.GroupKind())
		stages[stage] = append(stages[stage], item)
	}
	for _, stage := range []manifest.Stage{manifest.Definitions, manifest.Classes, manifest.Everything} {
		items := stages[stage]
		if len(items) == 0 {
			continue
		}
		slices.SortStableFunc(items, func(a, b Item) int { return manifest.CompareApply(a.ID, b.ID) })
		p.Stages = append(p.Stages, Stage{Stage: stage, Items: items})
	}
	return p, nil
}

// checkName refuses names that cannot be a part of a URL.
func checkName(id manifest.ID) error {
	if id.Name == "" {
		return fmt.Errorf("%s has no name: set metadata.name", id)
	}
	for field, value := range map[string]string{"name": id.Name, "namespace": id.Namespace} {
		if wrong := content.IsPathSegmentName(value); len(wrong) > 0 {
			return fmt.Errorf("%s cannot exist: metadata.%s %s", id, field, strings.Join(wrong, ", "))
		}
	}
	return nil
}

// decide chooses the action for one object.
func decide(item Item, tracker Tracker, opts Options) Action {
	known := tracker.Recall(item.ID)
	if exempt(WishesOf(item.Object), known.Live) {
		return Skip
	}
	same := known.Last.Content == item.Content && known.Last.Owner == opts.Owner
	switch {
	case same && known.Intact:
		return Keep
	case same:
		return Restore
	case opts.Proven:
		return Renew
	default:
		return Write
	}
}

// Idle reports whether the plan has nothing to do.
func (p Plan) Idle() bool {
	for _, s := range p.Stages {
		for _, item := range s.Items {
			if item.Action.writes() {
				return false
			}
		}
	}
	return true
}

// defines reports whether the plan has the definition of the kind of id.
func (p Plan) defines(id manifest.ID) bool {
	for other := range p.Inventory {
		if _, group, _ := strings.Cut(other.Name, "."); other.Kind == "CustomResourceDefinition" && group == id.Group {
			return true
		}
	}
	return false
}

// expires reports whether obj is a Job that is removed some time after its end.
func expires(obj *unstructured.Unstructured) bool {
	if gvk := obj.GroupVersionKind(); gvk.Group != "batch" || gvk.Kind != "Job" {
		return false
	}
	_, ok, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "ttlSecondsAfterFinished")
	return ok
}

// contentOf digests an object. JSON sorts the keys of maps.
func contentOf(obj *unstructured.Unstructured) string {
	data, err := json.Marshal(obj.Object)
	if err != nil {
		return "" // equals no digest, so the object is applied, and refused there
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
