package installation

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/install"
	"weir.dev/pkg/creds"
)

func parsed(t *testing.T, args ...string) *Flags {
	t.Helper()
	f := &Flags{}
	fs := pflag.NewFlagSet("install", pflag.ContinueOnError)
	f.Bind(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOptions(t *testing.T) {
	t.Parallel()
	const registry = "--registry=registry.example.com/weir"
	all, core, beside := install.All(), install.Default().Components, []string{"notification-controller"}
	shaped := install.Installed{Shape: &install.Shape{
		Lockdown: true, ImagePullSecret: "pull", Shards: []string{"a", "b"}, TolerationKeys: []string{"infra"}, ClusterDomain: "example.internal", LogLevel: "debug",
	}}
	tests := map[string]struct {
		why  string
		args []string
		live install.Installed
		want func(*install.Options)
		says string
	}{
		"defaults":             {args: []string{registry}, want: func(*install.Options) {}},
		"no registry":          {says: "make images REGISTRY="},
		"that which is live":   {live: install.Installed{Registry: "old.example.com"}, want: func(o *install.Options) { o.Registry = "old.example.com" }},
		"another than live":    {args: []string{registry}, live: install.Installed{Registry: "old.example.com"}, want: func(*install.Options) {}},
		"one more":             {args: []string{registry, "--components-extra=image-reflector-controller,image-automation-controller"}, want: func(o *install.Options) { o.Components = all }},
		"fewer":                {args: []string{registry, "--components=source-controller"}, want: func(o *install.Options) { o.Components = []string{"source-controller"} }},
		"as many as there are": {why: "one that runs must not lose its rights by the way", args: []string{registry}, live: install.Installed{Components: all}, want: func(o *install.Options) { o.Components = all }},
		"those of Flux": {
			why:  "what works on images is one controller here",
			args: []string{registry}, live: install.Installed{Foreign: true, Components: append([]string{"image-automation-controller", "image-reflector-controller"}, core...)},
			want: func(o *install.Options) { o.Components = all },
		},
		"one more than there are":           {args: []string{registry, "--components-extra=image-controller"}, live: install.Installed{Components: core[:1]}, want: func(o *install.Options) { o.Components = all }},
		"fewer than there are":              {args: []string{registry, "--components=source-controller"}, live: install.Installed{Components: all}, want: func(o *install.Options) { o.Components = core[:1] }},
		"a profile of fewer than there are": {args: []string{registry, "--profile=source-kustomize"}, live: install.Installed{Components: all}, want: func(o *install.Options) { o.Components = core[:2] }},
		"one of Flux":                       {args: []string{registry, "--components=source-controller,notification-controller"}, says: "goes on to work beside"},
		"a profile":                         {args: []string{registry, "--profile=all,lockdown"}, want: func(o *install.Options) { o.Components, o.Lockdown = all, true }},
		"a profile of none":                 {args: []string{registry, "--profile=huge"}, says: `--profile: "huge" is no profile`},
		"a profile, and word by word": {
			why: "who names components means them", args: []string{registry, "--profile=all", "--components=source-controller"},
			want: func(o *install.Options) { o.Components = []string{"source-controller"} },
		},
		"shards": {args: []string{registry, "--shards=a,b"}, want: func(o *install.Options) { o.Shards = []string{"a", "b"} }},
		"a notifier": {args: []string{registry}, live: install.Installed{Components: append([]string{"notification-controller"}, core...)}, want: func(o *install.Options) {
			o.EventsAddr, o.Beside = "http://notification-controller.gitops.svc.cluster.local./", beside
		}},
		"another one":     {args: []string{registry, "--events-addr=http://x/"}, live: install.Installed{Components: []string{"notification-controller"}}, want: func(o *install.Options) { o.EventsAddr, o.Beside = "http://x/", beside }},
		"none":            {args: []string{registry, "--events-addr="}, live: install.Installed{Components: []string{"notification-controller"}}, want: func(o *install.Options) { o.Beside = beside }},
		"as it was":       {args: []string{registry}, live: install.Installed{EventsAddr: "http://x/"}, want: func(o *install.Options) { o.EventsAddr = "http://x/" }},
		"another version": {args: []string{registry, "--version=v9.9.9"}, says: "use the weir command of the version that you want"},
		"its own version": {args: []string{registry, "--version=" + install.Version}, want: func(*install.Options) {}},
		"credentials":     {args: []string{registry, "--registry-creds=u:p"}, says: "--image-pull-secret"},
		"what is there stays": {
			why: "a run about something else changes nothing about it", args: []string{registry, "--log-level=error"}, live: shaped,
			want: func(o *install.Options) {
				o.Lockdown, o.WatchAllNamespaces, o.NetworkPolicy, o.ImagePullSecret = true, false, false, "pull"
				o.Shards, o.TolerationKeys, o.ClusterDomain, o.LogLevel = []string{"a", "b"}, []string{"infra"}, "example.internal", "error"
			},
		},
		"what a flag says does not": {
			why:  "somebody wants that",
			args: []string{registry, "--profile=open,sharded", "--watch-all-namespaces", "--network-policy=true", "--image-pull-secret=", "--toleration-keys=", "--cluster-domain=cluster.local", "--log-level=info"},
			live: shaped, want: func(o *install.Options) { o.Shards, o.TolerationKeys = []string{"a", "b"}, []string{} },
		},
		"a lockdown, and identities":       {args: []string{registry, "--workload-identity"}, live: shaped, says: "use one of them"},
		"a profile of something else":      {why: "it says nothing of the lockdown", args: []string{registry, "--profile=all"}, live: install.Installed{Shape: &install.Shape{Lockdown: true, WatchAllNamespaces: true, NetworkPolicy: true}}, want: func(o *install.Options) { o.Components, o.Lockdown = all, true }},
		"no registry, and something wrong": {why: "the registry may be found later, and the rest not", args: []string{"--log-level=loud"}, says: "--log-level"},
		"bad credentials":                  {args: []string{registry, "--image-pull-secret=pull", "--registry-creds=robot"}, says: "user:password"},
	}
	for name, tc := range tests {
		got, err := parsed(t, tc.args...).Options("gitops", tc.live)
		if tc.says != "" {
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: the error is %v; want it to say %q", name, err, tc.says)
			}
			continue
		}
		want := install.Default()
		want.Namespace, want.Registry = "gitops", "registry.example.com/weir"
		tc.want(&want)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s%s", name, err, diff, tc.why)
		}
	}
}

func TestPullSecret(t *testing.T) {
	t.Parallel()
	o := install.Default()
	o.Registry, o.ImagePullSecret = "registry.example.com:5000/weir", "pull"
	if s, err := parsed(t).PullSecret(o); s != nil || err != nil {
		t.Errorf("without credentials: %v, %v", s, err)
	}
	for _, bad := range []string{"robot", ":hush", "robot:"} {
		if _, err := parsed(t, "--registry-creds="+bad).PullSecret(o); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("credentials %q: %v; want them to be refused, and not to be shown", bad, err)
		}
	}
	if s, err := parsed(t, "--registry-creds=robot:a").PullSecret(install.Default()); !errors.Is(err, install.ErrNoRegistry) {
		t.Errorf("of no registry: %v, %v; nobody would be let in by that", s, err)
	}
	s, err := parsed(t, "--registry-creds=robot:a:b").PullSecret(o)
	if err != nil {
		t.Fatal(err)
	}
	encoded, _, _ := unstructured.NestedString(s.Object, "data", ".dockerconfigjson")
	config, err := base64.StdEncoding.DecodeString(encoded)
	want := `{"auths":{"registry.example.com:5000":{"auth":"cm9ib3Q6YTpi","password":"a:b","username":"robot"}}}`
	if err != nil || string(config) != want || s.GetName() != "pull" || s.GetNamespace() != "flux-system" {
		t.Errorf("Secret %s/%s has %s, %v; want %s", s.GetNamespace(), s.GetName(), config, err, want)
	}
}

// TestReadCredentials: they need not be in the arguments, where others can see them.
func TestReadCredentials(t *testing.T) {
	t.Parallel()
	kept := install.Installed{Shape: &install.Shape{ImagePullSecret: "pull", WatchAllNamespaces: true}}
	tests := map[string]struct {
		why      string
		args     []string
		variable string
		live     install.Installed
		want     string // the password
		says     string
	}{
		"piped":                      {args: []string{"--image-pull-secret=pull", "--registry-creds=-"}, want: "piped"},
		"piped, of a Secret there":   {why: "what no flag says stays", args: []string{"--registry-creds=-"}, live: kept, want: "piped"},
		"a variable":                 {args: []string{"--image-pull-secret=pull"}, variable: "robot:var", want: "var"},
		"a variable, and a Secret":   {why: "they may have changed", variable: "robot:var", live: kept, want: "var"},
		"a variable for others":      {why: "there is no Secret for it", variable: "token"},
		"a variable that is no good": {variable: "token", live: kept, says: "REGISTRY_CREDS"},
		"no Secret":                  {args: []string{"--registry-creds=-"}, says: "--image-pull-secret"},
	}
	for name, tc := range tests {
		f := parsed(t, append(tc.args, "--registry=registry.example.com/weir")...)
		err := f.ReadCredentials(t.Context(), func(_ context.Context, flag, _, _ string) (creds.Hidden, error) {
			if flag == "-" {
				return creds.Hide("robot:piped"), nil
			}
			return creds.Hide(tc.variable), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		o, err := f.Options("flux-system", tc.live)
		if tc.says != "" {
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: the error is %v; want it to say %q", name, err, tc.says)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s, err := f.PullSecret(o)
		if err != nil || (s != nil) != (tc.want != "") {
			t.Errorf("%s: Secret %v, %v (%s)", name, s, err, tc.why)
			continue
		}
		if s == nil {
			continue
		}
		encoded, _, _ := unstructured.NestedString(s.Object, "data", ".dockerconfigjson")
		config, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || !strings.Contains(string(config), `"password":"`+tc.want+`"`) {
			t.Errorf("%s: the Secret has other credentials (%s)", name, tc.why)
		}
	}
}
