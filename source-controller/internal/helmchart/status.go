package helmchart

import (
	"fmt"
	"sync"

	"github.com/fluxcd/pkg/runtime/conditions"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// spoken is how conditions speak of a HelmChart.
var spoken = source.Conditions[*sourcev1.HelmChart]{Fault: fault, Stored: stored}

// Report implements loop.Reconciler.
func (r *Reconciler) Report(obj *sourcev1.HelmChart, out loop.Outcome) (reason, message string) {
	return spoken.Report(obj, out)
}

// Suspend implements loop.Suspender.
func (r *Reconciler) Suspend(obj *sourcev1.HelmChart) { spoken.Suspend(obj) }

// stored says what is advertised: what was said when it was stored.
func stored(obj *sourcev1.HelmChart) (reason, message string) {
	if c := conditions.Get(obj, sourcev1.ConditionArtifactInStorage); c != nil {
		return c.Reason, c.Message
	}
	return sourcev1.ReasonChartPullSucceeded,
		fmt.Sprintf("pulled '%s' chart with version '%s'", obj.Status.ObservedChartName, obj.Status.Artifact.Revision)
}

// fault returns the condition that the reason of a failure belongs to.
func fault(reason string) string {
	switch reason {
	case sourcev1.ReasonMetadataPatchError, sourcev1.ReasonValuesFilesError, sourcev1.ReasonDependencyBuildError,
		sourcev1.ReasonChartPackageError, sourcev1.ReasonChartVerificationError, sourcev1.ReasonUnknown:
		return sourcev1.ConditionBuildFailed
	default:
		return source.Fault(reason)
	}
}

// aside is what a run did that is of less interest.
type aside struct{ resolved int } // dependencies

// asides keep what runs did until their events are made. The zero value is empty.
type asides struct{ byUID sync.Map }

func (a *asides) keep(obj *sourcev1.HelmChart, did *aside) {
	if did.resolved > 0 {
		a.byUID.Store(obj.UID, *did)
	}
}

func (a *asides) events(uid types.UID) []loop.Event {
	v, _ := a.byUID.LoadAndDelete(uid)
	did, ok := v.(aside)
	if !ok {
		return nil
	}
	return []loop.Event{{Trace: true, Reason: sourcev1.ReasonResolvedDependencies, Message: fmt.Sprintf("resolved %d chart dependencies", did.resolved)}}
}
