package helmrelease

import (
	"context"

	"helm.sh/helm/v3/pkg/chart"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/definitions"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/pkg/inventory"
)

// takeIn takes into the status what a process that was killed could not record.
func (r *Reconciler) takeIn(ctx context.Context, s *scope, recovered []*helmv2.Snapshot, at plan.Place, history *releases.History) {
	if len(recovered) == 0 {
		return
	}
	st := &s.hr.Status
	st.History = state.Record(st.History, recovered...)
	s.recovered, s.unsaved = true, true
	newest := st.History.Latest()
	if newest.Status == state.StatusDeployed && newest.Action != helmv2.ReleaseActionRollback {
		st.ObservedPostRenderersDigest, st.ObservedCommonMetadataDigest = laidThen(s.hr)
	}
	last, err := history.Last(ctx)
	if err != nil {
		return // which is told when it is observed
	}
	set, unserved, err := cluster.Inventory(s.at, types.NamespacedName{Namespace: at.Namespace, Name: at.Name}, last.Manifest)
	tellInventory(s.memory, err, unserved, action.Mask(s.sensitive))
	if err != nil {
		return
	}
	set = inventory.Union(r.definedBy(ctx, s, last), set)
	switch had := inventoryOf(s.hr); {
	case newest.Status != state.StatusDeployed:
		set = inventory.Union(had, set) // which may be there still
	case newest.Action == helmv2.ReleaseActionRollback:
		set = inventory.Union(definitions.In(had), set) // which nobody deletes
	}
	st.Inventory = encode(set)
}

// unknownDigest is that of what nobody knows, which is like nothing that is asked for.
const unknownDigest = "unknown"

// laidThen returns the digests of what was laid over the release that was last attempted. Of
// specs, only the present one is known.
func laidThen(hr *helmv2.HelmRelease) (postRenderers, commonMetadata string) {
	if hr.Status.LastAttemptedGeneration != hr.Generation {
		return unknownDigest, unknownDigest
	}
	now := laidBy(hr)
	return now.postRenderers, now.commonMetadata
}

// definedBy returns the definitions of the chart of a release. What is stored of a chart
// lacks its subcharts, so the chart itself is looked at if it is the one that is asked for.
func (r *Reconciler) definedBy(ctx context.Context, s *scope, rel *releases.Release) inventory.Set {
	of := &chart.Chart{Metadata: &chart.Metadata{Name: rel.Chart.Name()}, Files: rel.Chart.Files}
	if s.artifact != nil && rel.Chart.Name() == s.chart.name && rel.Chart.Metadata.Version == s.chart.version {
		if got, err := r.fetchChart(ctx, s); err == nil {
			defer got.Release()
			of = got.Helm()
		}
	}
	defined, err := definitions.Of(of, rel.Config)
	if err != nil {
		return nil // the chart could not have been released
	}
	return defined.Inventory
}

// inventoryOf returns the inventory that the status has; empty if it has none.
func inventoryOf(hr *helmv2.HelmRelease) inventory.Set {
	if hr.Status.Inventory == nil {
		return nil
	}
	set, err := inventory.Decode(hr.Status.Inventory.Entries)
	if err != nil {
		return nil
	}
	return set
}
