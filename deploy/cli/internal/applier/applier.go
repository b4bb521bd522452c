// Package applier makes engines that apply as kustomize-controller does: what this command
// applies, and what that controller then applies, are the same to the API server, so that
// the controller finds nothing to change.
package applier

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

// Manager is the field manager of kustomize-controller.
const Manager = "kustomize-controller"

// parallel is how many requests an engine has under way.
const parallel = 8

// New returns an engine for a cluster. Of the field managers of override it takes the fields
// over, as of those that it always does.
func New(cfg *rest.Config, mapper meta.RESTMapper, tracker apply.Tracker, override ...string) (*apply.Engine, error) {
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return apply.New(cfg, hc, mapper, tracker, apply.Config{
		Manager: Manager, Override: override, MigrateAPIVersion: true,
		OwnerName: kustomizev1.LabelName, OwnerNamespace: kustomizev1.LabelNamespace, Parallel: parallel,
	})
}

// Unknowing is a tracker that knows nothing, so everything is looked at.
type Unknowing struct{}

// Expect implements apply.Tracker.
func (Unknowing) Expect(context.Context, map[schema.GroupVersionResource]schema.GroupKind) (blind map[schema.GroupVersionResource]bool, done func()) {
	return nil, func() {}
}

// Recall implements apply.Tracker.
func (Unknowing) Recall(manifest.ID) apply.Known { return apply.Known{} }

// Applied implements apply.Tracker.
func (Unknowing) Applied(apply.Applied) {}

// Spare implements apply.Tracker.
func (Unknowing) Spare(manifest.ID, bool) {}

// Forget implements apply.Tracker.
func (Unknowing) Forget(manifest.ID) {}
