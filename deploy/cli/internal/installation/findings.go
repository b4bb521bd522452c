package installation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/install"
	"weir.dev/pkg/health"
)

// OldestServer is the oldest version of an API server that is known to do.
const OldestServer = "1.33.0"

// patience is how long an object may take to go before it counts as stuck.
const patience = 5 * time.Minute

// Level says how bad a finding is.
type Level int

const (
	Good Level = iota
	Notable
	Bad
)

// Finding is something that a check found.
type Finding struct {
	Level Level
	Text  string
	// Do is what to do about it; "" where nothing is to be done.
	Do string
}

func good(format string, args ...any) Finding { return Finding{Text: fmt.Sprintf(format, args...)} }

func (f Finding) do(format string, args ...any) Finding {
	f.Do = fmt.Sprintf(format, args...)
	return f
}

func bad(format string, args ...any) Finding {
	return Finding{Level: Bad, Text: fmt.Sprintf(format, args...)}
}

func notable(format string, args ...any) Finding {
	return Finding{Level: Notable, Text: fmt.Sprintf(format, args...)}
}

// Prerequisites tells whether weir can be installed.
func (s State) Prerequisites() []Finding {
	out := s.Fitness()
	if by := s.manager(); by != "" {
		out = append(out, bad("the definitions are managed by %s", by).do("take the installation out by %s first, or take it over: weir install --force", by))
	}
	return out
}

// Fitness tells whether the cluster, and who asks, will do for an installation, whoever has
// made the one that there is.
func (s State) Fitness() []Finding {
	out := []Finding{s.server()}
	if len(s.Denied) > 0 {
		out = append(out, bad("you may not %s", strings.Join(s.Denied, ", ")).do("an installation needs that: have who administers the cluster make it, or use their --context"))
	} else {
		out = append(out, good("you may do what an installation takes"))
	}
	if s.Narrow {
		out = append(out, bad("you may not see the Deployments of other namespaces").do("an installation must know of others that there are: have who administers the cluster make it, or use their --context"))
	}
	return append(out, s.storage()...)
}

// Surroundings tells whether what is installed can work in the cluster. Who looks at it need
// not be somebody who may install it.
func (s State) Surroundings() []Finding {
	out := append([]Finding{s.server()}, s.storage()...)
	if by := s.manager(); by != "" {
		out = append(out, notable("the definitions are managed by %s", by))
	}
	return out
}

// manager is who else manages the definitions, as their labels have it; "" if nobody does.
func (s State) manager() string {
	crd := s.Definitions[sourceDefinition]
	if crd == nil || crd.Labels[labelManagedBy] == install.PartOf {
		return ""
	}
	return crd.Labels[labelManagedBy]
}

// server tells whether the API server will do.
func (s State) server() Finding {
	v, err := version.ParseGeneric(s.Server)
	if err != nil {
		return notable("the version of the API server, %q, cannot be read", s.Server)
	}
	if !v.AtLeast(version.MustParseGeneric(OldestServer)) {
		return bad("Kubernetes %s is older than %s", s.Server, OldestServer).do("upgrade the cluster")
	}
	return good("Kubernetes %s is %s or newer", s.Server, OldestServer)
}

// Here are the Deployments of the namespace.
func (s State) Here() []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(s.Deployments), func(d *unstructured.Unstructured) bool { return d.GetNamespace() != s.Namespace })
}

// Installed is what the namespace tells of its installation.
func (s State) Installed() install.Installed {
	return install.Describe(slices.Concat(s.Here(), s.Policies))
}

// Elsewhere returns the other namespaces that have controllers of the kinds of weir.
func (s State) Elsewhere() []string {
	found := make(map[string]bool)
	for _, d := range s.Deployments {
		if ns := d.GetNamespace(); ns != s.Namespace && slices.Contains(install.All(), d.GetLabels()[install.LabelComponent]) {
			found[ns] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// neededElsewhere returns the components of which other namespaces have controllers, those of
// other distributions included.
func (s State) neededElsewhere() []string {
	var out []string
	for _, d := range s.Deployments {
		if name := d.GetLabels()[install.LabelComponent]; name != "" && d.GetNamespace() != s.Namespace {
			out = append(out, name)
		}
	}
	return out
}

// tended reports whether a controller of another namespace reconciles the objects of this one.
func (s State) tended(component string) bool {
	return component != "" && slices.ContainsFunc(s.Deployments, func(d *unstructured.Unstructured) bool {
		return d.GetNamespace() != s.Namespace && d.GetLabels()[install.LabelComponent] == component &&
			install.Describe([]*unstructured.Unstructured{d}).WatchesAll()
	})
}

// Bootstrapped names the Kustomization that manages the installation; "" if none does.
func (s State) Bootstrapped() string {
	crd := s.Definitions[sourceDefinition]
	if crd == nil || crd.Labels[kustomizev1.LabelName] == "" {
		return ""
	}
	return crd.Labels[kustomizev1.LabelNamespace] + "/" + crd.Labels[kustomizev1.LabelName]
}

// Distribution tells what is installed.
func (s State) Distribution() []Finding {
	here := s.Here()
	var out []Finding
	if len(here) == 0 {
		f := bad("there are no controllers in namespace %q", s.Namespace).do("install them: weir bootstrap, or weir install")
		if other := s.Elsewhere(); len(other) > 0 {
			f = f.do("there are some in %s: weir check -n %s", strings.Join(other, ", "), other[0])
		}
		return append(out, f)
	}
	is := install.Describe(here)
	switch {
	case is.Foreign && is.Registry != "":
		out = append(out, bad("controllers of weir and of another distribution run at once: %s", strings.Join(foreign(here), ", ")).
			do("they work on the same objects: run weir install, or weir bootstrap, again"))
	case is.Foreign:
		out = append(out, notable("the controllers are those of another distribution, %s", is.Version).do("weir install, or weir bootstrap, puts those of weir in their place"))
	case is.Version != install.Version:
		out = append(out, notable("weir %s is installed, and this command is %s", is.Version, install.Version).do("use the command of that version, or upgrade: weir bootstrap, or weir install"))
	default:
		out = append(out, good("weir %s", is.Version))
	}
	if by := s.Bootstrapped(); by != "" {
		out = append(out, good("managed from Git by Kustomization %s", by))
	}
	if other := s.Elsewhere(); len(other) > 0 {
		out = append(out, bad("there are controllers in other namespaces as well: %s", strings.Join(other, ", ")).
			do("two installations undo each other's work: take one out by weir uninstall -n <namespace>, or have each watch its own namespace only"))
	}
	return out
}

// foreign returns the names of the Deployments that are not of weir, and do the same.
func foreign(here []*unstructured.Unstructured) []string {
	var out []string
	for _, d := range here {
		if install.Describe([]*unstructured.Unstructured{d}).Foreign {
			out = append(out, d.GetName())
		}
	}
	return out
}

// Controllers tells how each controller is.
func (s State) Controllers() []Finding {
	var out []Finding
	for _, d := range s.Here() {
		status, why := health.Of(d)
		replicas, found, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
		switch {
		case found && replicas == 0:
			out = append(out, notable("%s: it is scaled to none", d.GetName()).do("kubectl -n %s scale deployment %s --replicas=1", s.Namespace, d.GetName()))
		case status == health.Current:
			out = append(out, good("%s: deployment ready", d.GetName()))
		default:
			out = append(out, bad("%s: %s", d.GetName(), strings.TrimSuffix(why, ".")).do("see its Pods: kubectl -n %s describe pods -l app=%s", s.Namespace, d.GetName()))
		}
	}
	if len(s.Policies) == 0 && len(out) > 0 {
		out = append(out, notable("namespace %q has no NetworkPolicy: every Pod of the cluster can read the artifacts of sources", s.Namespace).do("install them: weir install --network-policy"))
	}
	return out
}

// Missing tells of the controllers among names that are not there. Those of Flux of which
// weir has none may be asked for, too: they may run beside.
func (s State) Missing(names []string) []Finding {
	there := make(map[string]bool)
	for _, d := range s.Here() {
		there[d.GetName()] = true
	}
	var out []Finding
	for _, name := range names {
		deployment, do := name, ""
		ours, err := install.ParseComponents([]string{name})
		if err == nil {
			deployment, do = ours[0], "install it: weir install --components-extra "+ours[0]+", or weir bootstrap with that"
		} else {
			do = err.Error()
		}
		if !there[deployment] {
			out = append(out, bad("%s: it is missing", deployment).do("%s", do))
			there[deployment] = true // which is told once
		}
	}
	return out
}

// CRDs tells how the definitions are of the kinds that the controllers of the namespace
// have.
func (s State) CRDs() ([]Finding, error) {
	components, err := install.ParseComponents(ours(s.Here()))
	if err != nil {
		return nil, nil // none is told already
	}
	if s.Hidden {
		return []Finding{notable("you may not see the definitions, so they are not checked")}, nil
	}
	wanted, err := definitionsOf(components)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, want := range wanted {
		out = append(out, judge(want, s.Definitions[want.Name]))
	}
	return out, nil
}

// ours returns the components among Deployments that weir has.
func ours(here []*unstructured.Unstructured) []string {
	all := install.Describe(here).Components
	return slices.DeleteFunc(all, func(name string) bool { _, err := install.ParseComponents([]string{name}); return err != nil })
}

// judge compares a definition with the one that there should be.
func judge(want, have *apiextensionsv1.CustomResourceDefinition) Finding {
	again := "run weir install, or weir bootstrap, again"
	if have == nil {
		return bad("%s: it is missing", want.Name).do("%s", again)
	}
	if have.DeletionTimestamp != nil {
		return bad("%s: it is being deleted, with all its objects", want.Name).do("finish that: weir uninstall")
	}
	for _, v := range want.Spec.Versions {
		if v.Served && !serves(have, v.Name) {
			return bad("%s: it is too old, it does not have %s", want.Name, v.Name).do("%s", again)
		}
	}
	for _, c := range have.Status.Conditions {
		if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
			return good("%s/%s", want.Name, newest(want))
		}
	}
	return bad("%s: the API server does not serve it", want.Name).do("see why: kubectl describe crd %s", want.Name)
}

func serves(crd *apiextensionsv1.CustomResourceDefinition, name string) bool {
	return slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == name && v.Served })
}

// definitionsOf returns the CRDs of components, as they are to be.
func definitionsOf(components []string) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	objs, err := install.Definitions(components)
	if err != nil {
		return nil, err
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, obj := range objs {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, crd); err != nil {
			return nil, err
		}
		out = append(out, crd)
	}
	return out, nil
}

// Deletions tells of objects that have been going for too long.
func (s State) Deletions(now time.Time) []Finding {
	var out []Finding
	for _, stuck := range s.Stuck {
		if now.Sub(stuck.Since) < patience {
			continue
		}
		f := bad("%s is being deleted since %s, and kept by %s", stuck.Name, stuck.Since.UTC().Format(time.RFC3339), strings.Join(stuck.Finalizers, ", "))
		out = append(out, f.do("its controller says why it cannot finish: weir events --for %s", forEvents(stuck.Name)))
	}
	return out
}

// forEvents turns Kind/namespace/name into what the events verb takes.
func forEvents(name string) string {
	parts := strings.Split(name, "/")
	return parts[0] + "/" + parts[2] + " -n " + parts[1]
}
