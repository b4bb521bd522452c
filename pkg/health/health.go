// Package health decides whether an object is as its spec asks, by the rules of
// kstatus, and watches objects that are not there yet.
package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Status is how far an object is.
type Status int

const (
	// Unknown: nothing was seen of the object yet.
	Unknown Status = iota
	// InProgress: the object is on its way.
	InProgress
	// Current: the object is as its spec asks.
	Current
	// Failed: the object will not get there by itself.
	Failed
	// Terminating: the object is being deleted.
	Terminating
	// NotFound: there is no such object.
	NotFound
)

// String returns the name of the status.
func (s Status) String() string {
	names := [...]string{"Unknown", "InProgress", "Current", "Failed", "Terminating", "NotFound"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("Status(%d)", int(s))
	}
	return names[s]
}

// Of returns the status of an object as the API server has it, and what it says
// about why.
func Of(obj *unstructured.Unstructured) (Status, string) {
	res, err := status.Compute(obj)
	if err != nil {
		return Unknown, err.Error()
	}
	switch res.Status {
	case status.CurrentStatus, status.InProgressStatus:
		if isJob(obj) {
			return ofJob(obj, res)
		}
		return progress(res), res.Message
	case status.FailedStatus:
		return Failed, res.Message
	case status.TerminatingStatus:
		return Terminating, res.Message
	case status.NotFoundStatus:
		return NotFound, res.Message
	default:
		return Unknown, res.Message
	}
}

func progress(res *status.Result) Status {
	if res.Status == status.CurrentStatus {
		return Current
	}
	return InProgress
}

func isJob(obj *unstructured.Unstructured) bool {
	return obj.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "batch", Kind: "Job"}
}

// ofJob tells how far a Job is that has not failed. To kstatus it is Current as soon
// as it runs; who waits for a Job waits for its end.
func ofJob(obj *unstructured.Unstructured, res *status.Result) (Status, string) {
	if suspended, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend"); suspended {
		return Current, "Job is suspended"
	}
	if has(obj, "Complete") {
		return progress(res), res.Message
	}
	return InProgress, res.Message
}

// expired returns the last state of an object that is gone because it had done what
// it was for: a Job that ended and asked to be removed then. Of all others it
// returns nil.
func expired(obj *unstructured.Unstructured) *unstructured.Unstructured {
	_, expires, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "ttlSecondsAfterFinished")
	if !isJob(obj) || !expires || !has(obj, "Complete") && !has(obj, "Failed") {
		return nil
	}
	last := obj.DeepCopy()
	last.SetDeletionTimestamp(nil)
	return last
}

// matures returns when the status of an object will be another with no change that a
// watch could tell: a Pod that finds no room has failed after a while. For all others
// it reports false.
func matures(obj *unstructured.Unstructured) (time.Time, bool) {
	if obj.GroupVersionKind().GroupKind() != (schema.GroupKind{Kind: "Pod"}) || obj.GetDeletionTimestamp() != nil {
		return time.Time{}, false
	}
	if s, _ := Of(obj); s != InProgress || !unschedulable(obj) {
		return time.Time{}, false
	}
	return obj.GetCreationTimestamp().Add(status.ScheduleWindow), true
}

func unschedulable(obj *unstructured.Unstructured) bool {
	return slices.ContainsFunc(conditionsOf(obj), func(c status.BasicCondition) bool {
		return c.Type == "PodScheduled" && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

// has reports whether a condition of obj is true.
func has(obj *unstructured.Unstructured, conditionType string) bool {
	return slices.ContainsFunc(conditionsOf(obj), func(c status.BasicCondition) bool {
		return c.Type == conditionType && c.Status == corev1.ConditionTrue
	})
}

// conditionsOf returns the conditions of obj, none if it has none that make sense.
func conditionsOf(obj *unstructured.Unstructured) []status.BasicCondition {
	o, err := status.GetObjectWithConditions(obj.Object)
	if err != nil {
		return nil
	}
	return o.Status.Conditions
}

// immediate are kinds that are Current as soon as they exist: they have no
// controller that reports on them.
var immediate = kinds(map[string][]string{
	"": {
		"ConfigMap", "Endpoints", "LimitRange", "PodTemplate", "ResourceQuota", "Secret", "ServiceAccount",
	},
	"admissionregistration.k8s.io": {
		"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
		"ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
	},
	"certificates.k8s.io":       {"ClusterTrustBundle"},
	"discovery.k8s.io":          {"EndpointSlice"},
	"networking.k8s.io":         {"Ingress", "IngressClass", "NetworkPolicy"},
	"node.k8s.io":               {"RuntimeClass"},
	"rbac.authorization.k8s.io": {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"},
	"resource.k8s.io":           {"DeviceClass", "ResourceClaimTemplate"},
	"scheduling.k8s.io":         {"PriorityClass"},
	"storage.k8s.io":            {"CSIDriver", "StorageClass", "VolumeAttributesClass"},
})

// kinds makes a set of kinds by group.
func kinds(groups map[string][]string) map[schema.GroupKind]bool {
	out := make(map[schema.GroupKind]bool)
	for group, names := range groups {
		for _, name := range names {
			out[schema.GroupKind{Group: group, Kind: name}] = true
		}
	}
	return out
}

// Immediate reports whether objects of a kind are Current as soon as they exist,
// so that nobody need watch them.
func Immediate(gk schema.GroupKind) bool { return immediate[gk] }
