package install

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
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
	// Shape is how it is laid out; nil if there are no controllers that could tell.
	Shape *Shape
}

// Shape is how an installation is laid out: what a later run is to leave as it is, unless
// somebody says otherwise.
type Shape struct {
	Lockdown, WorkloadIdentity        bool
	WatchAllNamespaces, NetworkPolicy bool
	ImagePullSecret                   string
	Shards, TolerationKeys            []string
	ClusterDomain, LogLevel           string
}

// Describe returns what the Deployments and NetworkPolicies among objects tell.
func Describe(objs []*unstructured.Unstructured) Installed {
	var in Installed
	weirs, policies := false, false
	for _, obj := range objs {
		labels := obj.GetLabels()
		if labels[LabelPartOf] != PartOf {
			continue
		}
		policies = policies || obj.GetKind() == "NetworkPolicy"
		if obj.GetKind() != "Deployment" {
			continue
		}
		name := labels[LabelComponent]
		if name == "" {
			name = obj.GetName()
		}
		if !slices.Contains(in.Components, name) {
			in.Components = append(in.Components, name)
		}
		ours, known := obj.GetAnnotations()[VersionAnnotation]
		switch {
		case known:
			weirs, in.Version = true, ours
			in.Registry = registryOf(obj)
		case !beside(name):
			in.Foreign = true
		}
		if in.Version == "" {
			in.Version = labels[LabelVersion]
		}
	}
	slices.Sort(in.Components)
	in.layOut(objs, weirs, policies)
	return in
}

// WatchesAll reports whether there are controllers that get the objects of all namespaces.
func (in Installed) WatchesAll() bool {
	return len(in.Components) > 0 && (in.Shape == nil || in.Shape.WatchAllNamespaces)
}

// Newer reports whether weir is installed in a newer version: objects may be stored in
// versions that an older one does not know, and have fields that they would lose. Versions of
// other distributions have nothing to do with ours.
func (in Installed) Newer(than string) bool {
	have, err := version.ParseSemantic(in.Version)
	if in.Foreign || err != nil {
		return false // what is no version is neither older nor newer
	}
	want, err := version.ParseSemantic(than)
	return err == nil && want.LessThan(have)
}

// layOut reads the shape, of the controllers of weir if there are any: those of another
// distribution may be on their way out.
func (in *Installed) layOut(objs []*unstructured.Unstructured, ours, policies bool) {
	for _, obj := range objs {
		_, known := obj.GetAnnotations()[VersionAnnotation]
		labels := obj.GetLabels()
		if obj.GetKind() != "Deployment" || labels[LabelPartOf] != PartOf || known != ours || beside(obj.GetName()) || manager(obj) == nil {
			continue
		}
		if in.Shape == nil {
			in.Shape = &Shape{WatchAllNamespaces: true, NetworkPolicy: policies}
		}
		in.Shape.read(obj, ours)
		if addr := flagsOf(obj)["events-addr"]; addr != "" {
			in.EventsAddr = addr
		}
	}
}

// read adds what a Deployment tells. Only those of weir tell of shards and of a lockdown: to
// others, users have added these by patches, which stay theirs.
func (s *Shape) read(obj *unstructured.Unstructured, ours bool) {
	flags := flagsOf(obj)
	if flags["watch-all-namespaces"] == "false" {
		s.WatchAllNamespaces = false
	}
	if level := flags["log-level"]; level != "" {
		s.LogLevel = level
	}
	if _, domain, ok := strings.Cut(flags["storage-adv-addr"], ".svc."); ok {
		s.ClusterDomain = strings.TrimSuffix(domain, ".")
	}
	if strings.Contains(flags["feature-gates"], identityGate+"=true") {
		s.WorkloadIdentity = true
	}
	s.readPod(nested(obj.Object, "spec", "template", "spec"))
	if ours {
		s.readOurs(obj, flags)
	}
}

// readPod adds what the template of the Pods tells.
func (s *Shape) readPod(pod map[string]any) {
	if refs := list(pod, "imagePullSecrets"); len(refs) > 0 {
		s.ImagePullSecret, _ = refs[0]["name"].(string)
	}
	for _, t := range list(pod, "tolerations") {
		key, _ := t["key"].(string)
		if t["operator"] == "Exists" && t["effect"] == nil && key != "" && !slices.Contains(s.TolerationKeys, key) {
			s.TolerationKeys = append(s.TolerationKeys, key)
		}
	}
}

// readOurs adds what only a Deployment of weir tells.
func (s *Shape) readOurs(obj *unstructured.Unstructured, flags map[string]string) {
	s.NetworkPolicy = obj.GetAnnotations()[openAnnotation] == ""
	if flags["default-service-account"] != "" && flags["no-cross-namespace-refs"] == "true" {
		s.Lockdown = true
	}
	labels := obj.GetLabels()
	if shard, ok := strings.CutPrefix(obj.GetName(), labels[LabelComponent]+"-"); ok && labels[shardRole] != "" && !slices.Contains(s.Shards, shard) {
		s.Shards = append(s.Shards, shard)
	}
}

// registryOf returns where the image of a Deployment is from.
func registryOf(obj *unstructured.Unstructured) string {
	image, _ := manager(obj)["image"].(string)
	if i := strings.LastIndex(image, "/"); i > 0 {
		return image[:i]
	}
	return ""
}

// flagsOf returns the flags of a Deployment, by name. One that is given again adds to what
// was there.
func flagsOf(obj *unstructured.Unstructured) map[string]string {
	out := make(map[string]string)
	args, _ := manager(obj)["args"].([]any)
	for _, arg := range args {
		text, _ := arg.(string)
		name, value, _ := strings.Cut(strings.TrimPrefix(text, "--"), "=")
		if before := out[name]; name == "feature-gates" && before != "" {
			value = before + "," + value
		}
		out[name] = value
	}
	return out
}
