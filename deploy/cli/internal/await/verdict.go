package await

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/health"
)

// Ready holds of an object that its controller has brought to its present generation, and
// found good. One that will not get there by itself fails at once, with what it says.
func Ready(obj *unstructured.Unstructured) Verdict {
	if obj == nil {
		return Verdict{Done: true, Err: ErrGone}
	}
	if suspended(obj) {
		return Verdict{Done: true, Err: errors.New("it is suspended")}
	}
	ready, found := condition(obj, meta.ReadyCondition)
	switch status, why := health.Of(obj); {
	case status == health.Failed:
		return failed(obj, why)
	case status == health.Terminating:
		return Verdict{Done: true, Err: errors.New("it is being deleted")}
	case observed(obj) < obj.GetGeneration() && (!found || ready.ObservedGeneration != obj.GetGeneration()):
		return Verdict{Why: "its controller has not seen the present generation yet", Soon: true}
	case !found:
		return Verdict{Why: "its controller has not reported on it yet", Soon: true}
	case seen(obj, ready) != obj.GetGeneration():
		return Verdict{Why: "its controller has not finished with the present generation", Soon: true}
	case ready.Status != metav1.ConditionTrue:
		return Verdict{Why: ready.Message} // its controller tries again
	case status != health.Current:
		return Verdict{Why: why}
	}
	return Verdict{Done: true}
}

// Handled holds of an object whose controller has acted upon the request of a token, and is
// done with it.
func Handled(token string) Condition {
	return func(obj *unstructured.Unstructured) Verdict {
		if obj == nil {
			return Verdict{Done: true, Err: ErrGone}
		}
		handled, _, _ := unstructured.NestedString(obj.Object, "status", "lastHandledReconcileAt")
		// A later request takes the place of this one, so whoever has acted upon it did for both.
		later := handled != "" && handled == obj.GetAnnotations()[meta.ReconcileRequestAnnotation]
		if handled != token && !later {
			if suspended(obj) {
				return Verdict{Done: true, Err: errors.New("it was suspended meanwhile")}
			}
			return Verdict{Why: "its controller has not acted upon the request yet", Soon: true}
		}
		return outcome(obj)
	}
}

// HandledUpTo is Handled, and an object that is well is also up to date: where it is not, it
// was looked at before its controller knew of what is new, which will have it looked at again.
func HandledUpTo(token string, upToDate func(*unstructured.Unstructured) bool) Condition {
	handled := Handled(token)
	return func(obj *unstructured.Unstructured) Verdict {
		v := handled(obj)
		if v.Done && v.Err == nil && !upToDate(obj) {
			return Verdict{Why: "its controller has not seen the new revision of its source yet", Soon: true}
		}
		return v
	}
}

// outcome is how a run ended that is known to have ended. A failure that will be retried is
// one, too: who asked for the run wants to know now.
func outcome(obj *unstructured.Unstructured) Verdict {
	ready, found := condition(obj, meta.ReadyCondition)
	status, why := health.Of(obj)
	switch {
	case status == health.Failed:
		return failed(obj, why)
	case !found:
		return Verdict{Why: "its controller has not reported on it yet", Soon: true}
	case ready.Status == metav1.ConditionFalse:
		return failed(obj, ready.Message)
	case status != health.Current || ready.Status != metav1.ConditionTrue:
		return Verdict{Why: why}
	}
	return Verdict{Done: true}
}

// Gone holds where there is no object.
func Gone(obj *unstructured.Unstructured) Verdict {
	if obj == nil {
		return Verdict{Done: true}
	}
	if obj.GetDeletionTimestamp() == nil {
		return Verdict{Why: "it has not been deleted"}
	}
	if keep := obj.GetFinalizers(); len(keep) > 0 {
		return Verdict{Why: fmt.Sprintf("finalizers keep it: %s", strings.Join(keep, ", "))}
	}
	for _, remaining := range []string{"NamespaceFinalizersRemaining", "NamespaceContentRemaining", "NamespaceDeletionContentFailure"} {
		if c, ok := condition(obj, remaining); ok && c.Status == metav1.ConditionTrue {
			return Verdict{Why: c.Message}
		}
	}
	return Verdict{Why: "it is being deleted"}
}

// failed is the verdict on an object that says what is wrong: it itself knows better than
// what was derived from it.
func failed(obj *unstructured.Unstructured, why string) Verdict {
	if stalled, ok := condition(obj, meta.StalledCondition); ok && stalled.Status == metav1.ConditionTrue && stalled.Message != "" {
		why = stalled.Message
	}
	if ready, ok := condition(obj, meta.ReadyCondition); ok && ready.Status == metav1.ConditionFalse && ready.Message != "" {
		why = ready.Message
	}
	return Verdict{Done: true, Err: errors.New(why)}
}

func suspended(obj *unstructured.Unstructured) bool {
	is, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend")
	return is
}

func observed(obj *unstructured.Unstructured) int64 {
	n, _, _ := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	return n
}

// seen is the generation that a condition speaks of: that of the object, where it does not
// say.
func seen(obj *unstructured.Unstructured, c metav1.Condition) int64 {
	if c.ObservedGeneration == 0 {
		return observed(obj)
	}
	return c.ObservedGeneration
}

func condition(obj *unstructured.Unstructured, conditionType string) (metav1.Condition, bool) {
	for _, c := range conditions(obj) {
		if c.Type == conditionType {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

// conditions returns those of obj that can be read.
func conditions(obj *unstructured.Unstructured) []metav1.Condition {
	if obj == nil {
		return nil
	}
	all, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "status", "conditions")
	data, err := json.Marshal(all)
	if err != nil {
		return nil
	}
	var out []metav1.Condition
	if json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}
