package install

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Installed is what objects tell about the installation that they are: those of a manifest,
// or of a cluster. The zero value is none.
type Installed struct {
	// Version is that of the distribution.
	Version string
	// Foreign says that the controllers are those of another distribution.
	Foreign bool
	// Registry is where the images are; "" if it is not known to have ours.
	Registry string
	// Components are the names of the controllers, as they are called there.
	Components []string
	// EventsAddr is the URL of the notification-controller that controllers tell.
	EventsAddr string
}

// Describe returns what the Deployments among objects tell.
func Describe(objs []*unstructured.Unstructured) Installed {
	var in Installed
	for _, obj := range objs {
		labels := obj.GetLabels()
		if obj.GetKind() != "Deployment" || labels[labelPartOf] != PartOf {
			continue
		}
		name := labels[labelComponent]
		if name == "" {
			name = obj.GetName()
		}
		if !slices.Contains(in.Components, name) {
			in.Components = append(in.Components, name)
		}
		ours, known := obj.GetAnnotations()[VersionAnnotation]
		switch {
		case known:
			in.Version = ours
			in.Registry, in.EventsAddr = deployed(obj)
		case name != notification && name != sourceWatcher: // those go on to work beside ours
			in.Foreign = true
		}
		if in.Version == "" {
			in.Version = labels[labelVersion]
		}
	}
	slices.Sort(in.Components)
	return in
}

// deployed returns where the image of a Deployment is from, and whom the controller tells.
func deployed(obj *unstructured.Unstructured) (registry, eventsAddr string) {
	containers := list(nested(obj.Object, "spec", "template", "spec"), "containers")
	if len(containers) == 0 {
		return "", ""
	}
	image, _ := containers[0]["image"].(string)
	if i := strings.LastIndex(image, "/"); i > 0 {
		registry = image[:i]
	}
	args, _ := containers[0]["args"].([]any)
	for _, arg := range args {
		text, _ := arg.(string)
		if addr, ok := strings.CutPrefix(text, "--events-addr="); ok {
			eventsAddr = addr
		}
	}
	return registry, eventsAddr
}
