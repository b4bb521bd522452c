package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"weir.dev/pkg/manifest"
)

// defaultParallel is how many requests an engine has under way for one plan.
const defaultParallel = 8

// Engine applies plans to one cluster as one identity.
type Engine struct {
	client   *client
	managers Managers
	owner    [2]string // labels
	wishes   func(metav1.Object) Wishes
	migrates bool
	tracker  Tracker
	parallel int
}

// Config says how an Engine works.
type Config struct {
	// Manager is the field manager of every write; required.
	Manager string
	// Override are further managers whose fields are taken over, besides kubectl and
	// what dates from before server-side apply; see Managers.
	Override []string
	// MigrateAPIVersion allows to mend managedFields that make the API server refuse
	// an object, because they are of a version of the API that lacks a field of it.
	MigrateAPIVersion bool
	// OwnerName and OwnerNamespace are the labels that name the owner of an object; they are
	// applied whatever is ignored.
	OwnerName, OwnerNamespace string
	// Wishes reads what a live object asks for; nil means WishesOf.
	Wishes func(metav1.Object) Wishes
	// Parallel bounds the requests under way for one plan; 0 means 8.
	Parallel int
	// Warned is told each warning of the API server about what is applied once. If it is
	// nil, warnings go to the handler of the connection, and nowhere if that has none.
	Warned func(text string)
}

// New returns an Engine that uses the connection of cfg and hc.
func New(cfg *rest.Config, hc *http.Client, mapper meta.RESTMapper, tracker Tracker, c Config) (*Engine, error) {
	cl, err := newClient(cfg, hc, mapper, c.Manager, c.Warned)
	if err != nil {
		return nil, err
	}
	if c.Parallel <= 0 {
		c.Parallel = defaultParallel
	}
	if c.Wishes == nil {
		c.Wishes = WishesOf
	}
	return &Engine{
		client: cl, managers: Managers{Own: c.Manager, Override: c.Override}, owner: [2]string{c.OwnerName, c.OwnerNamespace},
		wishes: c.Wishes, migrates: c.MigrateAPIVersion, tracker: tracker, parallel: c.Parallel,
	}, nil
}

// Request is about one call of Apply.
type Request struct {
	// Force allows to delete and create anew what cannot be changed in place.
	Force bool
	// Whole asks for whole objects in Change.Live.
	Whole bool
	// DryRun has nothing written or deleted. The changes tell what would be put back, and
	// the tracker learns of what is as it should be.
	DryRun bool
	// Strict has the API server refuse fields that a kind does not have, wherever it would
	// leave them out otherwise.
	Strict bool
	// Validated is told how long a stage was validated; may be nil.
	Validated func(time.Duration)
}

// Apply carries out a plan, stage by stage. It returns what it did also when it
// fails; stages after the failed one are untouched. Errors name the objects.
func (e *Engine) Apply(ctx context.Context, p Plan, req Request) ([]Change, error) {
	if req.DryRun {
		return e.preview(ctx, p, req)
	}
	var done []Change
	for _, stage := range p.Stages {
		changes, err := e.stage(ctx, p, stage, req)
		done = append(done, changes...)
		if err != nil {
			return done, err
		}
		if stage.Stage < manifest.Custom {
			if err := e.settle(ctx, changes); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// write is an item under way.
type write struct {
	Item
	// Object is what is wanted, without what is left to others for now.
	Object *unstructured.Unstructured
	target target
	change *Change
	strict bool
	// recreate says that validation found the change impossible in place, and
	// that the object may be deleted for it.
	recreate bool
	// migrate says that validation found managedFields that are to be mended first.
	migrate bool
	// version is the live resource version as the validation saw it.
	version string

	found   *unstructured.Unstructured // as the object was found, or would have been left; nil if that is not known
	live    *unstructured.Unstructured // whole, for what is ignored in it; nil if it is to be read
	yielded *fieldpath.Set             // left to others for now
	ignored *fieldpath.Set             // left to others for good
	relayed bool                       // fields wait under the name of the relay
}

// stage validates and writes the items of one stage.
func (e *Engine) stage(ctx context.Context, p Plan, s Stage, req Request) ([]Change, error) {
	changes := make([]Change, len(s.Items))
	var writes []*write
	var errs []error
	var served deadline
	for i, item := range s.Items {
		changes[i] = Change{ID: item.ID}
		w := &write{Item: item, change: &changes[i], strict: req.Strict}
		if e.pass(w); !item.Action.writes() {
			continue
		}
		if err := e.locate(ctx, w, p.defined[item.ID.Group], &served); err != nil {
			errs = append(errs, err)
			continue
		}
		writes = append(writes, w)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	blind, done := e.expect(ctx, writes)
	defer done()
	writes, err := e.spare(ctx, writes, blind)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = e.validate(ctx, writes, req)
	if req.Validated != nil {
		req.Validated(time.Since(start))
	}
	if err != nil {
		return nil, err
	}
	err = e.writeAll(ctx, p, writes, req)
	return changes, err
}

// pass notes of an item that is skipped that it is.
func (e *Engine) pass(w *write) {
	if w.Action == Skip {
		w.change.Effect = Skipped
	}
	if w.spare {
		e.tracker.Spare(w.ID, w.wishes.CreateOnly && !w.wishes.LeaveAlone)
	}
}

// expect has the tracker look at what there is of the kinds that are written, so that a
// write that changes nothing can be told from one that does.
func (e *Engine) expect(ctx context.Context, writes []*write) (blind map[schema.GroupVersionResource]bool, done func()) {
	kinds := make(map[schema.GroupVersionResource]schema.GroupKind)
	for _, w := range writes {
		kinds[w.target.resource] = w.ID.GroupKind()
	}
	return e.tracker.Expect(ctx, kinds)
}

// spare returns the writes without those of objects that ask to be left as they are,
// which was not known when the plan was made. It looks at an object of which nothing can
// be known, unless that is done before its restoration anyway.
func (e *Engine) spare(ctx context.Context, writes []*write, blind map[schema.GroupVersionResource]bool) ([]*write, error) {
	out := make([]*write, 0, len(writes))
	for _, w := range writes {
		desired, known := w.wishes, e.tracker.Recall(w.ID)
		live := known.Live
		if !live.Exists() && (desired.CreateOnly || blind[w.target.resource] && w.Action != Restore) {
			found, err := e.client.getMetadata(ctx, w.target, w.Object.GetNamespace(), w.Object.GetName())
			switch {
			case err == nil:
				live.ResourceVersion, live.Wishes = found.GetResourceVersion(), e.wishes(found)
			case !apierrors.IsNotFound(err):
				return nil, failure(w.ID, "could not be looked for", err)
			}
		}
		if exempt(desired, live) {
			w.change.Effect = Skipped
			if desired.CreateOnly && known.Last.Content != "" {
				e.tracker.Spare(w.ID, true)
			}
			continue
		}
		out = append(out, w)
	}
	return out, nil
}

// locate decodes the object of w, finds where it lives and checks that it says so itself.
func (e *Engine) locate(ctx context.Context, w *write, defined bool, served *deadline) (err error) {
	if w.Object, err = w.object(); err != nil {
		return err
	}
	t, err := e.find(ctx, w.Object, defined, served)
	if err != nil {
		return failure(w.ID, "not applied", err)
	}
	w.target, w.change.target = t, t
	switch ns := w.Object.GetNamespace(); {
	case t.namespaced && ns == "":
		return fmt.Errorf("%s namespace not specified: set metadata.namespace, or spec.targetNamespace for all objects", w.ID)
	case !t.namespaced && ns != "":
		return fmt.Errorf("%s has a namespace, but objects of its kind have none: remove metadata.namespace", w.ID)
	}
	return nil
}

// writeAll writes what was validated: the first object alone, then wave by wave, the
// objects of one wave in parallel.
func (e *Engine) writeAll(ctx context.Context, p Plan, writes []*write, req Request) error {
	if len(writes) == 0 {
		return nil
	}
	if err := e.write(ctx, p, writes[0], req); err != nil {
		return err
	}
	rest := writes[1:]
	for len(rest) > 0 {
		n := 1
		for n < len(rest) && manifest.Wave(rest[n].ID.GroupKind()) == manifest.Wave(rest[0].ID.GroupKind()) {
			n++
		}
		var failed errorList
		var g errgroup.Group
		g.SetLimit(e.parallel)
		for _, w := range rest[:n] {
			g.Go(func() error {
				failed.try(ctx, w.ID, func() error { return e.write(ctx, p, w, req) })
				return nil
			})
		}
		_ = g.Wait() // the functions report to failed
		if !failed.empty() {
			return failed.join()
		}
		rest = rest[n:]
	}
	return nil
}

// write applies one object and tells the tracker how it left it.
func (e *Engine) write(ctx context.Context, p Plan, w *write, req Request) error {
	known := e.tracker.Recall(w.ID)
	if w.version == "" {
		w.version = known.Live.ResourceVersion
	}
	if w.Action == Restore {
		w.yield(known.Yielded)
		if w.change.Before = e.look(ctx, w); w.change.Before != nil {
			w.found, w.live, w.version = w.change.Before, w.change.Before, w.change.Before.GetResourceVersion()
			if e.wishes(w.change.Before).LeaveAlone {
				w.change.Effect = Skipped
				return nil
			}
		}
	}
	a, err := e.attempt(ctx, w, req)
	if err != nil {
		return err
	}
	w.change.Live = a.object
	w.change.Effect = effectOf(a, w)
	w.change.Restored = w.Action == Restore && w.change.Effect != Unchanged
	e.tracker.Applied(e.applied(p, w, a.object))
	return nil
}

// yield leaves some fields of the object to others.
func (w *write) yield(fields *fieldpath.Set) {
	w.yielded = fields
	if fields != nil && !fields.Empty() {
		w.Object, w.data = manifest.Without(w.Object, fields), nil
	}
}

// applied is what the tracker is told of an object that was left in a state; nil is gone.
func (e *Engine) applied(p Plan, w *write, left *unstructured.Unstructured) Applied {
	a := Applied{
		ID: w.ID, Resource: w.target.resource, Owner: p.Owner, Content: w.Content,
		Expires: expires(w.Object), Once: w.wishes.CreateOnly, Rules: w.rules(),
	}
	if left != nil {
		a.Ignored, a.Object = e.ignoredIn(w, left), left
	}
	return a
}

// attempt applies the object of w, and makes way for it if it must be created anew.
func (e *Engine) attempt(ctx context.Context, w *write, req Request) (answer, error) {
	whole := req.Whole || w.change.Before != nil
	if w.migrate {
		if err := e.migrate(ctx, w); err != nil {
			return answer{}, failure(w.ID, "managedFields could not be migrated", err)
		}
	}
	if !w.recreate {
		a, err := e.carry(ctx, w, whole)
		if err == nil {
			return a, nil
		}
		if !w.migrate && e.mayMigrate(ctx, w, err) {
			w.migrate = true
			return e.attempt(ctx, w, req)
		}
		if !immutable(err) || !e.mayRecreate(w, req) {
			return answer{}, failure(w.ID, "apply failed", err)
		}
		w.recreate = true
	}
	if err := e.clear(ctx, w); err != nil {
		return answer{}, failure(w.ID, "could not be deleted for recreation", err)
	}
	w.live = nil
	a, err := e.send(ctx, w, false, whole)
	if err != nil {
		return answer{}, failure(w.ID, "recreation failed after deletion", err)
	}
	return a, nil
}

// look reads an object that is about to be restored, so that it can be told what
// was changed: one that looks deleted may only have lost its labels. That it fails
// does not keep the object from being restored.
func (e *Engine) look(ctx context.Context, w *write) *unstructured.Unstructured {
	live, err := e.client.get(ctx, w.target, w.Object.GetNamespace(), w.Object.GetName())
	if err != nil {
		return nil
	}
	return live
}
