package observe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// Drift is what is known of the objects of a release: how they should be, and which of them
// are not.
type Drift struct {
	version    int       // of the release
	first      time.Time // when its first version was made
	generation int64     // of the spec whose rules are taken
	at         *tenant.Place

	owner    types.NamespacedName
	all      *apply.Prepared
	prepared *apply.Prepared // all but what is aside
	// aside are objects that ask in the cluster to be left alone, and their resource
	// versions when they were seen to.
	aside map[manifest.ID]string

	found []apply.Change
}

// detects reports whether a spec asks for drift detection.
func detects(hr *helmv2.HelmRelease) bool {
	return hr.GetDriftDetection().Mode != helmv2.DriftDetectionDisabled
}

// isOf reports whether it is of a release as it is stored, by the rules of the spec.
func (d *Drift) isOf(s *stored, in Input) bool {
	return d != nil && d.version == s.version && d.first.Equal(s.first) && d.generation == in.HelmRelease.Generation && d.at == in.At
}

// Any reports whether objects are not as they should be.
func (d *Drift) Any() bool { return d != nil && len(d.found) > 0 }

// Changes are the objects that are not as they should be: what became of them, or would if
// they were restored.
func (d *Drift) Changes() []apply.Change {
	if d == nil {
		return nil
	}
	return slices.Clone(d.found)
}

// look finds out whether the objects of the newest release are as they were left; nil if the
// spec does not ask for that.
func (m *Memory) look(ctx context.Context, in Input, newest *stored) (*Drift, error) {
	if !detects(in.HelmRelease) {
		m.drift = nil
		return nil, nil
	}
	if !m.drift.isOf(newest, in) {
		text, err := m.manifest(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("cannot detect drift: %w", err)
		}
		if m.drift, err = newDrift(in, newest, text); err != nil {
			return nil, fmt.Errorf("cannot detect drift: %w", err)
		}
	}
	if err := m.drift.look(ctx, in.At); err != nil {
		return nil, fmt.Errorf("cannot detect drift: %w", err)
	}
	return m.drift, nil
}

// newDrift takes the objects from the manifest of a release.
func newDrift(in Input, of *stored, text string) (*Drift, error) {
	objects, err := cluster.Objects(in.At, in.Release, text)
	if err != nil {
		return nil, err
	}
	d := &Drift{
		version: of.version, first: of.first, generation: in.HelmRelease.Generation, at: in.At,
		owner: client.ObjectKeyFromObject(in.HelmRelease), aside: make(map[manifest.ID]string),
	}
	fields, whole, err := rulesOf(in.HelmRelease.GetDriftDetection().Ignore)
	if err != nil {
		return nil, err
	}
	objects = slices.DeleteFunc(objects, func(obj *unstructured.Unstructured) bool {
		return exempt(obj) || slices.ContainsFunc(whole, func(selects selector) bool { return selects(obj) })
	})
	d.all, err = apply.Prepare(objects, apply.Options{Ignore: fields, WholeContent: true, Wishes: apply.NoWishes})
	if err != nil {
		return nil, err
	}
	d.prepared = d.all
	return d, nil
}

// exempt reports whether an object asks to be left alone.
func exempt(obj metav1.Object) bool {
	asks := func(of map[string]string) bool {
		return strings.EqualFold(of[helmv2.KeyDriftDetection], helmv2.ValueDisabled)
	}
	return asks(obj.GetLabels()) || asks(obj.GetAnnotations())
}

// sort tells the objects that are left alone from the others.
func (d *Drift) sort() {
	d.prepared = d.all.Without(func(id manifest.ID) bool { _, aside := d.aside[id]; return aside })
}

// look finds the objects that are not as they should be. It asks about those only of which
// that is not known.
func (d *Drift) look(ctx context.Context, at *tenant.Place) error {
	d.readmit(at)
	d.found = nil
	for {
		plan := d.plan(at)
		if plan.Idle() {
			return nil
		}
		changes, err := at.Engine.Apply(ctx, plan, apply.Request{DryRun: true})
		switch {
		case d.setAside(at, changes):
		case len(d.found) > 0:
			return nil // whatever else could not be looked at
		default:
			return err
		}
	}
}

// plan says what is to be done about the objects. All were applied before, if not by this
// process, so none needs to be validated.
func (d *Drift) plan(at *tenant.Place) apply.Plan {
	return d.prepared.Plan(at.Drift, apply.Options{Owner: d.owner, Proven: true})
}

// setAside takes in what a dry run has found. Objects that ask to be left alone are none of
// our concern from now on, which calls for another look if there were any.
func (d *Drift) setAside(at *tenant.Place, changes []apply.Change) (again bool) {
	var found []apply.Change
	for _, c := range changes {
		switch {
		case c.Effect == apply.Unchanged || c.Effect == apply.Skipped:
		case c.Before != nil && exempt(c.Before):
			d.aside[c.ID] = c.Before.GetResourceVersion()
			at.Drift.Forget(c.ID)
			again = true
		default:
			found = append(found, c)
		}
	}
	if again {
		d.sort()
	} else {
		d.found = found
	}
	return again
}

// readmit has objects looked at again that were left alone and have changed since: they may
// not ask for it any more.
func (d *Drift) readmit(at *tenant.Place) {
	before := len(d.aside)
	maps.DeleteFunc(d.aside, func(id manifest.ID, version string) bool {
		return at.Drift.Recall(id).Live.ResourceVersion != version
	})
	if len(d.aside) < before {
		d.sort()
	}
}

// Restore puts the objects right, and returns what has become of them. This makes no
// release.
func (d *Drift) Restore(ctx context.Context, at *tenant.Place) ([]apply.Change, error) {
	changes, err := at.Engine.Apply(ctx, d.plan(at), apply.Request{})
	var out []apply.Change
	for _, c := range changes {
		if c.Effect != apply.Unchanged && c.Effect != apply.Skipped {
			out = append(out, c)
		}
	}
	return out, err
}
