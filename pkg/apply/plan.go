package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
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
	// Once says that the object is created if it is missing, and is nobody's concern
	// while it exists.
	Once bool
	// Ignored are fields that anybody may change; nil means none.
	Ignored *fieldpath.Set
	// Rules identifies the rules that say so; "" if there are none.
	Rules string
	// Unowned says that fields of it are not ours, although they have our values: only a
	// look tells whether they still do once the object is another version.
	Unowned bool
	// Object is the answer of the API server; it is not kept. Nil means that a dry run
	// found the object gone.
	Object metav1.Object
	// Noticed is the object as it was found by a dry run, and as it is still, if that is
	// otherwise than Object; it is not kept.
	Noticed metav1.Object
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
	// returns when those that there are have been seen, or cannot be; blind are the
	// resources of which nothing can be known. After the applies, done is called.
	Expect(ctx context.Context, kinds map[schema.GroupVersionResource]schema.GroupKind) (blind map[schema.GroupVersionResource]bool, done func())
	// Recall returns what is known of an object.
	Recall(manifest.ID) Known
	// Applied tells how an object was left.
	Applied(Applied)
	// Spare tells that an object that was applied is not to be applied any more, or,
	// if once, only when it is missing.
	Spare(id manifest.ID, once bool)
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

	defined map[string]bool // the API groups of which the plan has definitions
}

// Stage is a batch of objects that is validated as a whole.
type Stage struct {
	Stage manifest.Stage
	Items []Item
}

// Item is one object of a plan.
type Item struct {
	ID      manifest.ID
	Content string // digest of the object, but for what is ignored
	Action  Action

	data   []byte    // the object as JSON, which takes a tenth of the memory
	wishes Wishes    // of the object
	ignore []pointer // in the object
	whole  bool      // see Options.WholeContent
	spare  bool      // the tracker is still to be told that it is skipped
}

// object returns the object itself.
func (i Item) object() (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(i.data); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", i.ID, err)
	}
	return obj, nil
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
	// Ignore names fields that count neither as content nor as drift.
	Ignore []IgnoreRule
	// WholeContent has these fields count as content all the same, so that the content of an
	// object is one and the same for who applies it without the rules. What was last applied
	// by other rules is looked at again.
	WholeContent bool
	// Wishes reads what an object of the set asks for; nil means WishesOf.
	Wishes func(metav1.Object) Wishes
	// CustomStage tells the kinds that make up the custom stage; nil means none. It is
	// not asked about kinds that have a stage of their own.
	CustomStage func(schema.GroupKind) bool
}

// Prepared is a set of objects that is checked, digested and in order, for any number
// of plans.
type Prepared struct {
	plan Plan // without actions
}

// Objects returns the objects of the set, in the order of their application.
func (s *Prepared) Objects() ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, stage := range s.plan.Stages {
		for _, item := range stage.Items {
			obj, err := item.object()
			if err != nil {
				return nil, err
			}
			all = append(all, obj)
		}
	}
	return all, nil
}

// Without returns the set without some of its objects.
func (s *Prepared) Without(left func(manifest.ID) bool) *Prepared {
	p := s.plan
	p.Inventory, p.Stages = maps.Clone(p.Inventory), nil
	maps.DeleteFunc(p.Inventory, func(id manifest.ID, _ string) bool { return left(id) })
	for _, stage := range s.plan.Stages {
		stage.Items = slices.DeleteFunc(slices.Clone(stage.Items), func(i Item) bool { return left(i.ID) })
		if len(stage.Items) > 0 {
			p.Stages = append(p.Stages, stage)
		}
	}
	return &Prepared{plan: p}
}

// Prepare checks, digests and sorts objects, and keeps nothing of them but their JSON. Two
// objects of one identity are an error, and so are names that would lead somewhere else in
// the API. Of the options, it takes Ignore, WholeContent, Wishes and CustomStage.
func Prepare(objs []*unstructured.Unstructured, opts Options) (*Prepared, error) {
	rules, err := readRules(opts.Ignore)
	if err != nil {
		return nil, err
	}
	if opts.Wishes == nil {
		opts.Wishes = WishesOf
	}
	p := Plan{Inventory: make(inventory.Set, len(objs)), defined: make(map[string]bool)}
	stages := make(map[manifest.Stage][]Item)
	for _, obj := range objs {
		id := manifest.IDOf(obj)
		if err := checkName(id); err != nil {
			return nil, err
		}
		if _, twice := p.Inventory[id]; twice {
			return nil, fmt.Errorf("%s is defined twice", id)
		}
		p.Inventory[id] = obj.GroupVersionKind().Version
		if _, group, _ := strings.Cut(id.Name, "."); id.Kind == "CustomResourceDefinition" {
			p.defined[group] = true
		}
		item, err := newItem(obj, id, opts.Wishes(obj), rules, opts.WholeContent)
		if err != nil {
			return nil, err
		}
		stage := stageOf(id.GroupKind(), opts.CustomStage)
		stages[stage] = append(stages[stage], item)
	}
	for stage := manifest.Definitions; stage <= manifest.Everything; stage++ {
		items := stages[stage]
		if len(items) == 0 {
			continue
		}
		slices.SortStableFunc(items, func(a, b Item) int { return manifest.CompareApply(a.ID, b.ID) })
		p.Stages = append(p.Stages, Stage{Stage: stage, Items: items})
	}
	return &Prepared{plan: p}, nil
}

// newItem returns an object as the item of a plan, without an action.
func newItem(obj *unstructured.Unstructured, id manifest.ID, wishes Wishes, rules []ignoreRule, whole bool) (Item, error) {
	item := Item{ID: id, wishes: wishes, ignore: ignoredIn(obj, rules), whole: whole}
	var err error
	if item.data, err = json.Marshal(obj.Object); err != nil {
		return item, fmt.Errorf("%s cannot be written as JSON: %w", id, err)
	}
	content := item.data
	if len(item.ignore) > 0 && !whole {
		if content, err = json.Marshal(withoutIgnored(obj, item.ignore).Object); err != nil {
			return item, fmt.Errorf("%s cannot be written as JSON: %w", id, err)
		}
	}
	sum := sha256.Sum256(content) // JSON sorts the keys of maps
	item.Content = hex.EncodeToString(sum[:])
	return item, nil
}

// stageOf returns the stage of a kind.
func stageOf(gk schema.GroupKind, custom func(schema.GroupKind) bool) manifest.Stage {
	stage := manifest.StageOf(gk)
	if stage == manifest.Everything && custom != nil && custom(gk) {
		return manifest.Custom
	}
	return stage
}

// Plan decides what to do about each object of the set. It asks tracker only, never the
// API server. Of the options, it takes Owner and Proven.
func (s *Prepared) Plan(tracker Tracker, opts Options) Plan {
	p := s.plan
	p.Owner = opts.Owner
	p.Stages = make([]Stage, len(s.plan.Stages))
	for i, stage := range s.plan.Stages {
		items := slices.Clone(stage.Items)
		for j := range items {
			items[j].decide(tracker, opts)
		}
		p.Stages[i] = Stage{Stage: stage.Stage, Items: items}
	}
	return p
}

// checkName refuses names that cannot be a part of a URL.
func checkName(id manifest.ID) error {
	if id.Name == "" {
		return fmt.Errorf("%s has no name: set metadata.name", id)
	}
	for _, part := range [...]struct{ field, value string }{{"name", id.Name}, {"namespace", id.Namespace}} {
		if wrong := content.IsPathSegmentName(part.value); len(wrong) > 0 {
			return fmt.Errorf("%s cannot exist: metadata.%s %s", id, part.field, strings.Join(wrong, ", "))
		}
	}
	return nil
}

// decide chooses the action for one object.
func (i *Item) decide(tracker Tracker, opts Options) {
	known := tracker.Recall(i.ID)
	i.Action = i.action(known, opts)
	tracked := known.Last.Content != ""
	i.spare = i.Action == Skip && tracked && (i.wishes.LeaveAlone || i.wishes.CreateOnly && !known.Last.Once)
}

// action is what to do about an object of which something is known.
func (i *Item) action(known Known, opts Options) Action {
	if exempt(i.wishes, known.Live) {
		return Skip
	}
	same := known.Last.Content == i.Content && known.Last.Owner == opts.Owner && (!i.whole || known.Last.Rules == i.rules())
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

// rules identifies what is ignored of the object; "" if nothing is.
func (i *Item) rules() string {
	if len(i.ignore) == 0 {
		return ""
	}
	return fmt.Sprintf("%q", i.ignore)
}

// Idle reports whether the plan has nothing to do.
func (p Plan) Idle() bool {
	for _, s := range p.Stages {
		for _, item := range s.Items {
			if item.Action.writes() || item.spare {
				return false
			}
		}
	}
	return true
}

// expires reports whether obj is a Job that is removed some time after its end.
func expires(obj *unstructured.Unstructured) bool {
	if gvk := obj.GroupVersionKind(); gvk.Group != "batch" || gvk.Kind != "Job" {
		return false
	}
	_, ok, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "ttlSecondsAfterFinished")
	return ok
}
