package install

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The controllers.
const (
	SourceController    = "source-controller"
	KustomizeController = "kustomize-controller"
	HelmController      = "helm-controller"
	ImageController     = "image-controller"
)

// Controllers of which weir has none of the name.
const (
	imageReflector  = "image-reflector-controller"
	imageAutomation = "image-automation-controller"
	notification    = "notification-controller"
	sourceWatcher   = "source-watcher"
)

// beside reports whether a controller of another distribution goes on to work beside ours.
func beside(name string) bool { return name == notification || name == sourceWatcher }

// Beside returns the names among components of controllers that weir does not have, and that
// go on to work beside its own.
func Beside(components []string) []string {
	return slices.DeleteFunc([]string{notification, sourceWatcher}, func(name string) bool { return !slices.Contains(components, name) })
}

// ComponentOf returns the name of the controller that an object of a manifest is of, also of
// one that has lost its label; "" if it is of none, or of several.
func ComponentOf(obj *unstructured.Unstructured) string {
	if name := obj.GetLabels()[LabelComponent]; name != "" {
		return name
	}
	_, group, _ := strings.Cut(obj.GetName(), ".")
	switch {
	case group == "notification.toolkit.fluxcd.io", obj.GetName() == "webhook-receiver":
		return notification
	case group == "source.extensions.fluxcd.io":
		return sourceWatcher
	case beside(obj.GetName()):
		return obj.GetName()
	}
	return ""
}

// All returns the names of all controllers, in the order in which they are listed.
func All() []string {
	return []string{SourceController, KustomizeController, HelmController, ImageController}
}

// groups are the API groups of the controllers.
var groups = map[string]string{
	SourceController:    "source.toolkit.fluxcd.io",
	KustomizeController: "kustomize.toolkit.fluxcd.io",
	HelmController:      "helm.toolkit.fluxcd.io",
	ImageController:     "image.toolkit.fluxcd.io",
}

// Serving returns the controller of the kinds of an API group; false if none of weir is.
func Serving(group string) (component string, ok bool) {
	for component, of := range groups {
		if of == group {
			return component, true
		}
	}
	return "", false
}

// ParseComponents returns the controllers that names mean, each once, in the order of All.
// The two that other distributions have for images are one here.
func ParseComponents(names []string) ([]string, error) {
	wanted := make(map[string]bool)
	for _, name := range names {
		switch name = strings.TrimSpace(name); {
		case name == imageReflector, name == imageAutomation:
			wanted[ImageController] = true
		case beside(name):
			return nil, fmt.Errorf("weir has no %s; one of another distribution goes on to work beside it: leave it out of --components and --components-extra", name)
		case slices.Contains(All(), name):
			wanted[name] = true
		default:
			return nil, fmt.Errorf("%q is no component: there are %s", name, strings.Join(All(), ", "))
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("there are no components: use some of %s", strings.Join(All(), ", "))
	}
	return slices.DeleteFunc(All(), func(name string) bool { return !wanted[name] }), nil
}

// kept returns components, and with them those of weir that an installation has.
func kept(components, installed []string) []string {
	all := slices.Clone(components)
	for _, name := range installed {
		if meant, err := ParseComponents([]string{name}); err == nil {
			all = append(all, meant...)
		}
	}
	if sorted, err := ParseComponents(all); err == nil {
		return sorted
	}
	return components // there are none, or names that mean nothing, which is told to whoever gave them
}

// Replaced returns the names of controllers of other distributions that must not run beside
// components: they work on the same objects, under other names.
func Replaced(components []string) []string {
	if slices.Contains(components, ImageController) {
		return []string{imageReflector, imageAutomation}
	}
	return nil
}

// Deployments returns Deployments by their names, which say nothing else.
func Deployments(namespace string, names []string) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, len(names))
	for i, name := range names {
		out[i] = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment"}}
		out[i].SetNamespace(namespace)
		out[i].SetName(name)
	}
	return out
}
