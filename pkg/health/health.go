// Package health decides whether an object is as its spec asks, by the rules of
// kstatus, and watches objects that are not there yet.
package health

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
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
	case status.CurrentStatus:
		return Current, res.Message
	case status.FailedStatus:
		return Failed, res.Message
	case status.TerminatingStatus:
		return Terminating, res.Message
	case status.NotFoundStatus:
		return NotFound, res.Message
	case status.InProgressStatus:
		return InProgress, res.Message
	default:
		return Unknown, res.Message
	}
}

// immediate are kinds that are Current as soon as they exist: they have no
// controller that reports on them.
var immediate = map[schema.GroupKind]bool{
	{Kind: "ConfigMap"}: true, {Kind: "Secret"}: true, {Kind: "ServiceAccount"}: true,
	{Kind: "LimitRange"}: true, {Kind: "ResourceQuota"}: true,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               true,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        true,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        true,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: true,
	{Group: "networking.k8s.io", Kind: "Ingress"}:                    true,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:               true,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:              true,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              true,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  true,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                     true,
}

// Immediate reports whether objects of a kind are Current as soon as they exist,
// so that nobody need watch them.
func Immediate(gk schema.GroupKind) bool { return immediate[gk] }
