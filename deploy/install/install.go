// Package install has what makes a cluster run weir: the definitions of its kinds, a
// kustomize base for each controller, and what they share. Render makes one manifest of
// them, for an installation as Options describe it; the same options give the same bytes.
//
// Names, labels and the order of arguments are those of the public API's own manifests, so
// that patches which exist go on to fit. The package knows no cluster.
package install

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Version is that of this weir.
const Version = "v0.1.0"

// Namespace is where controllers live unless Options say otherwise.
const Namespace = "flux-system"

// Options describe an installation. Default has what nobody needs to think about.
type Options struct {
	// Namespace is that of the controllers.
	Namespace string
	// Components are the controllers; see ParseComponents.
	Components []string
	// Version is the tag of the images.
	Version string
	// Registry is where the images are: the beginning of their names. Required.
	Registry string
	// ImagePullSecret names the Secret with which images are pulled; "" means none.
	ImagePullSecret string
	// NetworkPolicy has the controllers be reached by each other only.
	NetworkPolicy bool
	// WatchAllNamespaces has them reconcile the objects of all namespaces.
	WatchAllNamespaces bool
	// ClusterDomain is that of the names of Services.
	ClusterDomain string
	// TolerationKeys are keys of taints of nodes that the controllers may run on.
	TolerationKeys []string
	// LogLevel is trace, debug, info or error.
	LogLevel string
	// EventsAddr is the URL of a notification-controller; "" means that there is none.
	EventsAddr string
	// Shards are the values of the label that objects are split by. Each gets controllers of
	// its own; those without a shard have the objects without the label.
	Shards []string
	// Lockdown has objects be applied as ServiceAccounts of their own namespace, never as
	// the controller, and refuses references to other namespaces.
	Lockdown bool
	// WorkloadIdentity has the controllers get in to clouds as the ServiceAccount that an
	// object names. They can act as any for that, so it does not go with Lockdown.
	WorkloadIdentity bool
	// Beside are controllers that weir does not have, and that run in the namespace; see the
	// function Beside. They keep the rights that they need.
	Beside []string
}

// Default returns the options of an installation that is like most.
func Default() Options {
	return Options{
		Namespace: Namespace, Components: []string{SourceController, KustomizeController, HelmController}, Version: Version,
		NetworkPolicy: true, WatchAllNamespaces: true, ClusterDomain: "cluster.local", LogLevel: "info",
	}
}

// Names of profiles.
const (
	ProfileAll             = "all"              // every controller
	ProfileSourceKustomize = "source-kustomize" // what a cluster needs that has no releases of charts
	ProfileSharded         = "sharded"          // two shards, unless some are named
	ProfileLockdown        = "lockdown"         // tenants that do not trust each other
	ProfileOpen            = "open"             // the opposite, which a new installation is anyway
)

// Profiles lists the names of all profiles.
func Profiles() []string {
	return []string{ProfileAll, ProfileSourceKustomize, ProfileSharded, ProfileLockdown, ProfileOpen}
}

// With returns options changed to be those of a profile as well. Profiles can be combined.
func (o Options) With(profile string) (Options, error) {
	switch profile {
	case ProfileAll:
		o.Components = All()
	case ProfileSourceKustomize:
		o.Components = []string{SourceController, KustomizeController}
	case ProfileSharded:
		if len(o.Shards) == 0 {
			o.Shards = []string{"shard1", "shard2"}
		}
	case ProfileLockdown:
		o.Lockdown = true
	case ProfileOpen:
		o.Lockdown = false
	default:
		return o, fmt.Errorf("%q is no profile: there are %s", profile, strings.Join(Profiles(), ", "))
	}
	return o, nil
}

// Reconciler names the ServiceAccount, in the namespace of the controllers, that the
// Kustomization which manages the cluster must name; "" where it need name none.
func (o Options) Reconciler() string {
	if o.Lockdown {
		return reconciler
	}
	return ""
}

const reconciler = "cluster-reconciler"

// ErrNoRegistry says that nobody has told where the images are.
var ErrNoRegistry = errors.New("no registry is known that has the images: name it with --registry, after `make images REGISTRY=<registry>` has pushed them there")

// registries are the beginnings of names of images: a host, a port, a path.
var registries = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)

// versions are what may be the tag of an image and the value of a label.
var versions = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$`)

// logLevels are what controllers take.
var logLevels = []string{"trace", "debug", "info", "error"}

// Validate refuses options of which no installation could come, naming the flag. The error
// is ErrNoRegistry only if nothing else is wrong.
func (o Options) Validate() error {
	var errs []error
	refuse := func(flag, value string, problems []string) {
		if len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--%s is %q: %s", flag, value, problems[0]))
		}
	}
	refuse("namespace", o.Namespace, validation.IsDNS1123Label(o.Namespace))
	refuse("cluster-domain", o.ClusterDomain, validation.IsDNS1123Subdomain(o.ClusterDomain))
	for _, key := range o.TolerationKeys {
		refuse("toleration-keys", key, validation.IsQualifiedName(key))
	}
	for _, shard := range o.Shards {
		refuse("shards", shard, validation.IsDNS1123Label(shard))
	}
	if o.ImagePullSecret != "" {
		refuse("image-pull-secret", o.ImagePullSecret, validation.IsDNS1123Subdomain(o.ImagePullSecret))
	}
	if !versions.MatchString(o.Version) {
		errs = append(errs, fmt.Errorf("--version is %q: that is no tag of an image", o.Version))
	}
	if !slices.Contains(logLevels, o.LogLevel) {
		errs = append(errs, fmt.Errorf("--log-level is %q: use %s", o.LogLevel, strings.Join(logLevels, ", ")))
	}
	if o.Lockdown && o.WorkloadIdentity {
		errs = append(errs, errors.New("--workload-identity has the controllers act as any ServiceAccount, which --profile lockdown is to prevent: use one of them"))
	}
	_, err := ParseComponents(o.Components)
	switch errs = append(errs, err); {
	case o.Registry == "" && errors.Join(errs...) == nil:
		return ErrNoRegistry
	case o.Registry != "" && !registries.MatchString(o.Registry):
		errs = append(errs, fmt.Errorf("--registry is %q: use a host and a path, without a scheme, as in registry.example.com/weir", o.Registry))
	}
	return errors.Join(errs...)
}
