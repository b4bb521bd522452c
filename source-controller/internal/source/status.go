package source

import (
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

// faults are the conditions that say what is wrong, of all kinds.
var faults = [...]string{
	sourcev1.ConditionArtifactOutdated,
	sourcev1.ConditionFetchFailed,
	sourcev1.ConditionStorageOperationFailed,
	sourcev1.ConditionIncludeUnavailable,
	sourcev1.ConditionBuildFailed,
}

// Conditions say how a kind speaks of its artifacts.
type Conditions[T Object] struct {
	// Fault returns the condition that the reason of a failure belongs to. nil means
	// package source's Fault, which a kind calls for reasons that are not its own.
	Fault func(reason string) string
	// Stored returns the reason and the message of ArtifactInStorage.
	Stored func(obj T) (reason, message string)
}

// Report sets the conditions of obj after a run, and returns the reason and the
// message of Ready for a success: it is Report of loop.Reconciler.
func (c Conditions[T]) Report(obj T, out loop.Outcome) (reason, message string) {
	fault := ""
	if out.Verdict != loop.Succeeded {
		fault = c.fault(out.Reason)
	}
	for _, other := range faults {
		// One that stays keeps its time, so that a failure that repeats writes nothing.
		if other != fault {
			conditions.Delete(obj, other)
		}
	}
	switch fault {
	case "":
		return c.markStored(obj)
	case sourcev1.ConditionSourceVerified:
		conditions.MarkFalse(obj, fault, out.Reason, "%s", out.Message())
	default:
		conditions.MarkTrue(obj, fault, out.Reason, "%s", out.Message())
	}
	return "", ""
}

// Suspend keeps the status of a suspended object current: the last artifact stays
// advertised. It is Suspend of loop.Suspender.
func (c Conditions[T]) Suspend(obj T) {
	conditions.Delete(obj, meta.StalledCondition)
	conditions.Delete(obj, meta.ReconcilingCondition)
	obj.SetObservedGeneration(obj.GetGeneration())
	if obj.GetArtifact() == nil || faulty(obj) {
		return
	}
	reason, message := c.markStored(obj)
	conditions.MarkTrue(obj, meta.ReadyCondition, reason, "%s", message)
}

// markStored says that the artifact of the status can be downloaded. A kind may have
// nothing to advertise and still be in order.
func (c Conditions[T]) markStored(obj T) (reason, message string) {
	reason, message = c.Stored(obj)
	if obj.GetArtifact() != nil {
		conditions.MarkTrue(obj, sourcev1.ConditionArtifactInStorage, reason, "%s", message)
	}
	return reason, message
}

func (c Conditions[T]) fault(reason string) string {
	if c.Fault == nil {
		return Fault(reason)
	}
	return c.Fault(reason)
}

// Fault returns the condition that a reason of any kind belongs to: that of the
// storage, or else FetchFailed.
func Fault(reason string) string {
	switch reason {
	case sourcev1.ReasonArchiveOperationFailed, sourcev1.ReasonStatOperationFailed, sourcev1.ReasonDirectoryCreationFailed,
		sourcev1.ReasonInvalidPath, sourcev1.ReasonSourceIgnoreError, sourcev1.ReasonSymlinkUpdateFailed:
		return sourcev1.ConditionStorageOperationFailed
	default:
		return sourcev1.ConditionFetchFailed
	}
}

// MarkBuilding says that a revision is on its way, in the words of the kind, such as
// "new upstream revision 'main@sha1:…'".
func MarkBuilding(obj Object, reason, what string) {
	conditions.MarkTrue(obj, sourcev1.ConditionArtifactOutdated, reason, "%s", what)
	loop.MarkProgressing(obj, "building artifact: %s", what)
}

// Failing reports whether the status says of the present generation that it fails.
// Then that is what users have to see, not that it is tried again.
func Failing(obj Object) bool {
	c := conditions.Get(obj, meta.ReadyCondition)
	return c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == obj.GetGeneration()
}

// faulty reports whether a condition says that something is wrong.
func faulty(obj Object) bool {
	for _, fault := range faults {
		if conditions.Has(obj, fault) {
			return true
		}
	}
	return conditions.IsFalse(obj, sourcev1.ConditionSourceVerified)
}
