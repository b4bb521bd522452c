// Package kinds knows the kinds that weir works with: how people call them, what a
// table shows of them, where their source and their revision are, and what can be done
// with them.
//
// It needs no Go type of a kind, so it knows kinds of other controllers, too. What it
// reads of an object is Object.
package kinds

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

// Families of kinds whose names have two words.
const (
	Sources   = "sources"
	Images    = "images"
	Artifacts = "artifacts"
)

const (
	notification = "notification.toolkit.fluxcd.io"
	extensions   = "source.extensions.fluxcd.io"
)

// Kind is one of the kinds.
type Kind struct {
	// GVK is the kind in the version that is asked for first.
	GVK schema.GroupVersionKind
	// Plural is the name of its resource.
	Plural string
	// Family is the word before the names: Sources, Images, Artifacts or none.
	Family string
	// Names are what people call it. Without a family, the first is the one of `get`, and
	// the second that of verbs that act on one object.
	Names []string
	// Columns are those of its table, without name and namespace.
	Columns []Column
	// Static kinds are data: no controller reports on them, none can be asked for a run.
	Static bool
	// NoSuspend kinds cannot be suspended by a field of theirs.
	NoSuspend bool
	// Foreign kinds are not of weir, but of controllers that may run beside it.
	Foreign bool
}

// Column is one of a table.
type Column struct {
	Name string
	// Wide columns are shown where it is asked for.
	Wide bool
	// Whole values are shown where wide is asked for, if Value shortens them.
	Value, Whole func(Object) string
	// At values, in the place of Value, depend on when they are looked at.
	At func(o Object, now time.Time) string
}

// Show returns what the column has of an object, in a table that is wide or not.
func (c Column) Show(o Object, wide bool, now time.Time) string {
	switch {
	case c.At != nil:
		return c.At(o, now)
	case wide && c.Whole != nil:
		return c.Whole(o)
	}
	return c.Value(o)
}

// All returns all kinds, in the order in which people read them.
func All() []Kind {
	return []Kind{
		source(sourcev1.GitRepositoryKind, "gitrepositories", "git", wide("URL", url)),
		source(sourcev1.OCIRepositoryKind, "ocirepositories", "oci", wide("URL", url)),
		source(sourcev1.HelmRepositoryKind, "helmrepositories", "helm", wide("URL", url)),
		source(sourcev1.HelmChartKind, "helmcharts", "chart", wide("Chart", chart), wide("Source", SourceName)),
		source(sourcev1.BucketKind, "buckets", "bucket", wide("Endpoint", endpoint), wide("Bucket", bucket)),
		{
			GVK:    sourcev1.GroupVersion.WithKind(sourcev1.ExternalArtifactKind),
			Plural: "externalartifacts", Family: Sources, Names: []string{"external"},
			Columns:   columns(revision("Revision", Revision), Column{Name: "Source", Value: SourceName}, ready(), message(), age()),
			NoSuspend: true, Static: true,
		},
		{
			GVK:    schema.GroupVersionKind{Group: extensions, Version: "v1beta1", Kind: "ArtifactGenerator"},
			Plural: "artifactgenerators", Family: Artifacts, Names: []string{"generator", "generators"},
			Columns:   columns(ready(), message(), age()),
			NoSuspend: true, Foreign: true,
		},
		{
			GVK:    helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind),
			Plural: "helmreleases", Names: []string{"helmreleases", "helmrelease", "hr"},
			Columns: standard(wide("Source", SourceName), wide("Chart", chart)),
		},
		{
			GVK:    kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
			Plural: "kustomizations", Names: []string{"kustomizations", "kustomization", "ks"},
			Columns: standard(wide("Source", SourceName), wide("Path", path)),
		},
		{
			GVK:    imagev1.GroupVersion.WithKind(imagev1.ImageRepositoryKind),
			Plural: "imagerepositories", Family: Images, Names: []string{"repository", "repo"},
			Columns: columns(Column{Name: "Last scan", Value: lastScan}, suspended(), ready(), message(), wide("Image", image), wide("Tags", tags), age()),
		},
		{
			GVK:    imagev1.GroupVersion.WithKind(imagev1.ImagePolicyKind),
			Plural: "imagepolicies", Family: Images, Names: []string{"policy"},
			Columns: columns(
				Column{Name: "Image", Value: latestName}, Column{Name: "Tag", Value: latestTag}, ready(), message(),
				wide("Digest", latestDigest), wide("Suspended", Suspended), wide("Repository", SourceName), age(),
			),
		},
		{
			GVK:    imagev1.GroupVersion.WithKind(imagev1.ImageUpdateAutomationKind),
			Plural: "imageupdateautomations", Family: Images, Names: []string{"update"},
			Columns: columns(Column{Name: "Last run", Value: lastRun}, suspended(), ready(), message(), wide("Source", SourceName), wide("Pushed", lastPush), age()),
		},
		{
			GVK:    schema.GroupVersionKind{Group: notification, Version: "v1", Kind: "Receiver"},
			Plural: "receivers", Names: []string{"receivers", "receiver"},
			Columns: columns(suspended(), ready(), message(), wide("Path", webhook), age()), Foreign: true,
		},
		{
			GVK:    schema.GroupVersionKind{Group: notification, Version: "v1beta3", Kind: "Provider"},
			Plural: "providers", Names: []string{"alert-providers", "alert-provider"},
			Columns: columns(wide("Type", providerType), age()), Static: true, Foreign: true,
		},
		{
			GVK:    schema.GroupVersionKind{Group: notification, Version: "v1beta3", Kind: "Alert"},
			Plural: "alerts", Names: []string{"alerts", "alert"},
			Columns: columns(suspended(), age()), Static: true, Foreign: true,
		},
	}
}

func source(kind, plural, name string, more ...Column) Kind {
	return Kind{
		GVK:    sourcev1.GroupVersion.WithKind(kind),
		Plural: plural, Family: Sources, Names: []string{name}, Columns: standard(more...),
	}
}

// Of returns the kind of objects of kind, in any version of its group.
func Of(gk schema.GroupKind) (Kind, bool) {
	for _, k := range All() {
		if k.GVK.GroupKind() == gk {
			return k, true
		}
	}
	return Kind{}, false
}

// Find returns the kind that people call name: by any of its names, its kind or its
// resource, with or without its group, in any case. Kinds of a family are known by the
// names that begin with it, too: source/git, sources/git.
func Find(name string) (Kind, bool) {
	name = strings.ToLower(name)
	for _, k := range All() {
		if slices.Contains(k.known(), name) {
			return k, true
		}
	}
	return Kind{}, false
}

// known returns all that the kind may be called, in lower case.
func (k Kind) known() []string {
	kind := strings.ToLower(k.GVK.Kind)
	known := []string{kind, k.Plural, kind + "." + k.GVK.Group, k.Plural + "." + k.GVK.Group}
	for _, n := range k.Names {
		if k.Family == "" {
			known = append(known, n)
		} else {
			known = append(known, k.Family+"/"+n, strings.TrimSuffix(k.Family, "s")+"/"+n)
		}
	}
	if short, ok := shortNames[k.GVK.Kind]; ok {
		known = append(known, short)
	}
	return known
}

// shortNames are those of kubectl that the commands do not have.
var shortNames = map[string]string{
	sourcev1.GitRepositoryKind: "gitrepo", sourcev1.OCIRepositoryKind: "ocirepo", sourcev1.HelmRepositoryKind: "helmrepo", sourcev1.HelmChartKind: "hc",
}

// Many is the name of the kind for verbs of many objects: `kustomizations`.
func (k Kind) Many() string { return k.Names[0] }

// One is the name of the kind for verbs of one object: `kustomization`.
func (k Kind) One() string {
	if k.Family != "" {
		return k.Names[0]
	}
	return k.Names[1]
}

// Words returns how the kind is called in a command on one object: `source git`,
// `kustomization`.
func (k Kind) Words() string {
	if k.Family == "" {
		return k.One()
	}
	return strings.TrimSuffix(k.Family, "s") + " " + k.Names[0]
}

// GVR returns the resource of the kind, in the version that is asked for first.
func (k Kind) GVR() schema.GroupVersionResource { return k.GVK.GroupVersion().WithResource(k.Plural) }

// String returns the kind as manifests have it.
func (k Kind) String() string { return k.GVK.Kind }
