package install

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Labels of everything that is installed, by which it is found again.
const (
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelVersion   = "app.kubernetes.io/version"
	LabelComponent = "app.kubernetes.io/component"

	// PartOf is the value of LabelPartOf.
	PartOf = "flux"
)

// VersionAnnotation has the version of weir, on the Deployments of its controllers. Those
// of other distributions have the same names and labels, and not this.
const VersionAnnotation = "weir.dev/version"

// openAnnotation says that an installation has no NetworkPolicies because somebody wanted
// none: one that was interrupted may lack them, too.
const openAnnotation = "weir.dev/without-network-policies"

// adjust makes an object of a base, or a definition, one of the installation.
func (o Options) adjust(obj *unstructured.Unstructured) {
	o.place(obj)
	label(obj, LabelPartOf, PartOf)
	label(obj, LabelInstance, o.Namespace)
	label(obj, LabelVersion, o.Version)
	if obj.GetKind() == "Deployment" {
		o.adjustDeployment(obj)
	}
}

// place moves an object to the namespace. What has none gets it as part of its name, so
// that two installations do not share it.
func (o Options) place(obj *unstructured.Unstructured) {
	if obj.GetNamespace() != "" {
		obj.SetNamespace(o.Namespace)
	}
	switch obj.GetKind() {
	case "Namespace":
		obj.SetName(o.Namespace)
	case "ClusterRole", "ClusterRoleBinding", "ResourceQuota":
		obj.SetName(obj.GetName() + "-" + o.Namespace)
	}
	role, _, _ := unstructured.NestedMap(obj.Object, "roleRef")
	if role["kind"] == "ClusterRole" && role["name"] != "cluster-admin" {
		role["name"] = role["name"].(string) + "-" + o.Namespace
		obj.Object["roleRef"] = role
	}
	for _, subject := range list(obj.Object, "subjects") {
		subject["namespace"] = o.Namespace
	}
}

// keepSubjects removes the subjects of controllers that are not installed from a binding,
// and reports whether any is left, or it is none.
func keepSubjects(obj *unstructured.Unstructured, components []string) bool {
	subjects, found, _ := unstructured.NestedSlice(obj.Object, "subjects")
	if !found {
		return true
	}
	subjects = slices.DeleteFunc(subjects, func(s any) bool {
		name, _ := s.(map[string]any)["name"].(string)
		return slices.Contains(All(), name) && !slices.Contains(components, name)
	})
	obj.Object["subjects"] = subjects
	return len(subjects) > 0
}

// adjustDeployment adjusts what only Deployments have.
func (o Options) adjustDeployment(obj *unstructured.Unstructured) {
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = make(map[string]string)
	}
	annotations[VersionAnnotation] = o.Version
	if !o.NetworkPolicy {
		annotations[openAnnotation] = "true"
	}
	obj.SetAnnotations(annotations)

	template := &unstructured.Unstructured{Object: nested(obj.Object, "spec", "template")}
	label(template, LabelPartOf, PartOf)
	label(template, LabelInstance, o.Namespace)
	label(template, LabelVersion, o.Version)

	pod := nested(obj.Object, "spec", "template", "spec")
	if o.ImagePullSecret != "" {
		pod["imagePullSecrets"] = []any{map[string]any{"name": o.ImagePullSecret}}
	}
	if len(o.TolerationKeys) > 0 {
		var tolerations []any
		for _, key := range o.TolerationKeys {
			tolerations = append(tolerations, map[string]any{"key": key, "operator": "Exists"})
		}
		pod["tolerations"] = tolerations
	}
	for _, c := range list(pod, "containers") {
		c["image"] = o.Registry + "/" + c["image"].(string) + ":" + o.Version
	}
	setFlag(obj, "events-addr", o.EventsAddr)
	setFlag(obj, "log-level", o.LogLevel)
	if !o.WatchAllNamespaces {
		setFlag(obj, "watch-all-namespaces", "false")
	}
	eachFlag(obj, func(name, value string) string {
		if name == "storage-adv-addr" {
			return strings.TrimSuffix(value, "cluster.local.") + o.ClusterDomain + "."
		}
		return value
	})
}

// eachFlag replaces the value of each flag of a Deployment that has one.
func eachFlag(obj *unstructured.Unstructured, change func(name, value string) string) {
	c := manager(obj)
	args, _ := c["args"].([]any)
	for i, arg := range args {
		name, value, ok := strings.Cut(strings.TrimPrefix(arg.(string), "--"), "=")
		if ok {
			args[i] = "--" + name + "=" + change(name, value)
		}
	}
}

// setFlag sets a flag that a Deployment has, in its place.
func setFlag(obj *unstructured.Unstructured, flag, to string) {
	eachFlag(obj, func(name, value string) string {
		if name == flag {
			return to
		}
		return value
	})
}

// addFlags adds flags to a Deployment, after those that it has.
func addFlags(obj *unstructured.Unstructured, flags ...string) {
	c := manager(obj)
	args, _ := c["args"].([]any)
	for _, flag := range flags {
		args = append(args, flag)
	}
	c["args"] = args
}

// manager returns the container of a Deployment that is the controller; nil if it has none.
func manager(obj *unstructured.Unstructured) map[string]any {
	for _, c := range list(nested(obj.Object, "spec", "template", "spec"), "containers") {
		return c
	}
	return nil
}

// label sets a label.
func label(obj *unstructured.Unstructured, key, value string) {
	labels := obj.GetLabels()
	if labels == nil {
		labels = make(map[string]string)
	}
	labels[key] = value
	obj.SetLabels(labels)
}

// nested returns a part of an object itself, not a copy; nil if there is none.
func nested(obj map[string]any, fields ...string) map[string]any {
	for _, field := range fields {
		obj, _ = obj[field].(map[string]any)
	}
	return obj
}

// list returns the maps of a list, themselves.
func list(obj map[string]any, field string) []map[string]any {
	var out []map[string]any
	items, _ := obj[field].([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
