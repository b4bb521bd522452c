package installation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/install"
)

// Flags say what is to be installed.
type Flags struct {
	options     install.Options
	extra       []string // components
	profiles    []string
	credentials string
	incidental  bool // they are of the environment, and may be meant for something else
	given       func(flag string) bool
}

// Bind adds the flags.
func (f *Flags) Bind(fs *pflag.FlagSet) {
	f.options = install.Default()
	o := &f.options
	fs.StringSliceVar(&o.Components, "components", o.Components, "Controllers to install; without it also those that there are already")
	fs.StringSliceVar(&f.extra, "components-extra", nil, "Further controllers: "+install.ImageController)
	fs.StringSliceVar(&f.profiles, "profile", nil, "Shapes of installations, which can be combined: "+strings.Join(install.Profiles(), ", "))
	fs.StringSliceVar(&o.Shards, "shards", nil, "Values of the label sharding.fluxcd.io/key; each gets controllers of its own")
	fs.StringVarP(&o.Version, "version", "v", o.Version, "Version to install, which must be that of this command")
	fs.StringVar(&o.Registry, "registry", "", "Registry of the images, as in registry.example.com/weir; by default that of the installation that there is")
	fs.StringVar(&o.ImagePullSecret, "image-pull-secret", "", "Secret with which the images are pulled")
	fs.StringVar(&f.credentials, "registry-creds", "", "Credentials of the registry, user:password, from which the Secret of --image-pull-secret is made; better in the variable "+CredentialsVariable+", or - to read them")
	fs.BoolVar(&o.WorkloadIdentity, "workload-identity", false, "Have the controllers get in to clouds as the ServiceAccounts that objects name")
	fs.BoolVar(&o.NetworkPolicy, "network-policy", o.NetworkPolicy, "Have the controllers be reached by each other only")
	fs.BoolVar(&o.WatchAllNamespaces, "watch-all-namespaces", o.WatchAllNamespaces, "Reconcile the objects of all namespaces; else those of the controllers' own")
	fs.StringVar(&o.ClusterDomain, "cluster-domain", o.ClusterDomain, "Domain of the names of Services")
	fs.StringSliceVar(&o.TolerationKeys, "toleration-keys", nil, "Keys of taints of nodes that the controllers may run on")
	fs.StringVar(&o.LogLevel, "log-level", o.LogLevel, "Log level of the controllers: trace, debug, info or error")
	fs.StringVar(&o.EventsAddr, "events-addr", "", "URL of a notification-controller; by default that of the namespace, if it has one")
	f.given = fs.Changed
}

// Options returns what the flags mean for a namespace, and for the installation that there
// is: the zero value where there is none. What no flag says stays as it is there.
func (f *Flags) Options(namespace string, live install.Installed) (install.Options, error) {
	o := f.options
	o.Namespace = namespace
	if o.Version != install.Version {
		return o, fmt.Errorf("--version is %s, and this command installs %s: use the weir command of the version that you want", o.Version, install.Version)
	}
	o = o.Keep(live, f.Said)
	components := slices.Concat(o.Components, f.extra)
	for _, profile := range f.profiles {
		var err error
		if o, err = o.With(profile); err != nil {
			return o, fmt.Errorf("--profile: %w", err)
		}
	}
	if f.given("components") || len(f.extra) > 0 { // what is said word by word counts more than a profile
		o.Components = components
	}
	var err error
	if o.Components, err = install.ParseComponents(o.Components); err != nil {
		return o, err
	}
	o.Beside = install.Beside(live.Components)
	if !f.given("events-addr") && slices.Contains(o.Beside, "notification-controller") {
		o.EventsAddr = fmt.Sprintf("http://notification-controller.%s.svc.%s./", namespace, o.ClusterDomain)
	}
	if f.credentials != "" && !f.incidental && o.ImagePullSecret == "" {
		return o, errors.New("--registry-creds needs --image-pull-secret, the name of the Secret that is made of them")
	}
	if o.ImagePullSecret != "" {
		if _, _, err := f.login(); err != nil {
			return o, err
		}
	}
	return o, o.Validate()
}

// login returns what the credentials are made of.
func (f *Flags) login() (user, password string, err error) {
	user, password, _ = strings.Cut(f.credentials, ":")
	if f.credentials != "" && (user == "" || password == "") {
		return "", "", errors.New("--registry-creds, or the variable " + CredentialsVariable + ", must be user:password")
	}
	return user, password, nil
}

// Said reports whether a flag, or a profile, says how something is to be.
func (f *Flags) Said(name string) bool {
	profile := func(name string) bool { return slices.Contains(f.profiles, name) }
	switch name {
	case install.ProfileSharded:
		return profile(name)
	case install.ProfileLockdown:
		return profile(install.ProfileLockdown) || profile(install.ProfileOpen)
	case "components":
		return f.given(name) || profile(install.ProfileAll) || profile(install.ProfileSourceKustomize)
	}
	return f.given(name)
}

// PullSecret returns the Secret of the credentials, which are those of the registry; nil if
// there are none.
func (f *Flags) PullSecret(o install.Options) (*unstructured.Unstructured, error) {
	if f.credentials == "" || f.incidental && o.ImagePullSecret == "" {
		return nil, nil
	}
	user, password, err := f.login()
	switch {
	case err != nil:
		return nil, err
	case o.Registry == "":
		return nil, install.ErrNoRegistry
	}
	host, _, _ := strings.Cut(o.Registry, "/")
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{
		"username": user, "password": password, "auth": base64.StdEncoding.EncodeToString([]byte(f.credentials)),
	}}})
	if err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
		"metadata": map[string]any{"name": o.ImagePullSecret, "namespace": o.Namespace},
		"data":     map[string]any{".dockerconfigjson": base64.StdEncoding.EncodeToString(config)},
	}}, nil
}
