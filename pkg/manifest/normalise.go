package manifest

import (
	"encoding/base64"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// Normalise returns obj in the form in which Flux applies it, so that whoever of
// the two applies the same manifest comes to own the same fields. obj itself is
// not changed.
//
// Objects of the Kubernetes API pass through their Go type, which writes empty
// structs where a manifest has none; ports get the protocol TCP that is part of
// their key; stringData of a Secret becomes data, without which a key that leaves
// the manifest would stay in the Secret. The status and empty creation times go.
// What does not fit its Go type, for a mistake in it or because the API server is
// newer than this library, stays as it is: the API server is the one to judge.
func Normalise(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := obj.DeepCopy()
	if gvk := out.GroupVersionKind(); gvk.Kind != "CustomResourceDefinition" || gvk.Group != "apiextensions.k8s.io" {
		delete(out.Object, "status")
	}
	dropNoTime(out.Object)
	if typed, ok := throughType(out); ok {
		out.Object = typed
		delete(out.Object, "status")
	}
	foldStringData(out)
	for _, path := range podSpecs[out.GroupVersionKind().GroupKind().String()] {
		if spec, ok, _ := unstructured.NestedFieldNoCopy(out.Object, path...); ok {
			defaultContainerPorts(spec)
		}
	}
	if gvk := out.GroupVersionKind(); gvk.Group == "" && gvk.Kind == "Service" {
		spec, _ := out.Object["spec"].(map[string]any)
		defaultProtocol(spec["ports"])
	}
	return out
}

// podSpecs tells where the kinds have specs of Pods.
var podSpecs = map[string][][]string{
	"Pod":                   {{"spec"}},
	"PodTemplate":           {{"template", "spec"}},
	"ReplicationController": {{"spec", "template", "spec"}},
	"Deployment.apps":       {{"spec", "template", "spec"}},
	"ReplicaSet.apps":       {{"spec", "template", "spec"}},
	"StatefulSet.apps":      {{"spec", "template", "spec"}},
	"DaemonSet.apps":        {{"spec", "template", "spec"}},
	"Job.batch":             {{"spec", "template", "spec"}},
	"CronJob.batch":         {{"spec", "jobTemplate", "spec", "template", "spec"}},
}

// throughType converts an object to its Go type and back. It reports false for
// kinds without one, and where anything would be lost on the way.
func throughType(obj *unstructured.Unstructured) (map[string]any, bool) {
	gvk := obj.GroupVersionKind()
	if gvk.Group == "rbac.authorization.k8s.io" {
		return nil, false // their types write null for rules that are aggregated
	}
	typed, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil, false
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, typed, true); err != nil {
		return nil, false
	}
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil, false
	}
	dropNoTime(out)
	return out, true
}

// dropNoTime removes creation times that say nothing, which some tools write.
func dropNoTime(v any) {
	switch v := v.(type) {
	case map[string]any:
		if t, ok := v["creationTimestamp"]; ok && t == nil {
			delete(v, "creationTimestamp")
		}
		for _, child := range v {
			dropNoTime(child)
		}
	case []any:
		for _, child := range v {
			dropNoTime(child)
		}
	}
}

// foldStringData does what the API server does when it reads a Secret.
func foldStringData(obj *unstructured.Unstructured) {
	plain, ok := obj.Object["stringData"].(map[string]any)
	if gvk := obj.GroupVersionKind(); !ok || gvk.Group != "" || gvk.Kind != "Secret" {
		return
	}
	data, ok := obj.Object["data"].(map[string]any)
	if !ok && obj.Object["data"] != nil {
		return // no map: for the API server to refuse
	}
	folded := make(map[string]any, len(data)+len(plain))
	maps.Copy(folded, data)
	for k, v := range plain {
		s, ok := v.(string)
		if !ok {
			return // no text: for the API server to refuse
		}
		folded[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	delete(obj.Object, "stringData")
	if len(folded) > 0 {
		obj.Object["data"] = folded
	}
}

// defaultContainerPorts sets the protocol of the ports of a Pod.
func defaultContainerPorts(podSpec any) {
	spec, _ := podSpec.(map[string]any)
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			if container, ok := c.(map[string]any); ok {
				defaultProtocol(container["ports"])
			}
		}
	}
}

func defaultProtocol(ports any) {
	list, _ := ports.([]any)
	for _, p := range list {
		if port, ok := p.(map[string]any); ok && (port["protocol"] == nil || port["protocol"] == "") {
			port["protocol"] = "TCP"
		}
	}
}
