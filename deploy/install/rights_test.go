package install_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/install"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

// gate is the API server as controllers see it. It notes what they are refused.
type gate struct {
	*httptest.Server
	mu      sync.Mutex
	refused []string
}

func newGate(t *testing.T, cfg *rest.Config) *gate {
	t.Helper()
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(cfg)) // who asks says who they are
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: transport, FlushInterval: -1,
		ModifyResponse: func(resp *http.Response) error {
			if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.refused = append(g.refused, fmt.Sprintf("%s: %s %s", resp.Request.UserAgent(), resp.Request.Method, resp.Request.URL.RequestURI()))
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }, // who asked has gone
	}
	g.Server = httptest.NewTLSServer(proxy)
	t.Cleanup(func() { g.CloseClientConnections(); g.Close() })
	return g
}

// refusals returns what was refused, each once.
func (g *gate) refusals() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(g.refused)))
}

// site is an installation in the namespace of a test. Its controllers run as processes, by
// the arguments of their Deployments and as their ServiceAccounts.
type site struct {
	*testplane.Plane
	t       *testing.T
	stack   *stack.Stack
	gate    *gate
	options install.Options
}

func newSite(t *testing.T, adjust func(*unstructured.Unstructured), profiles ...string) *site {
	t.Helper()
	s := &site{Plane: testplane.Start(t), t: t, options: profile(t, append(profiles, install.ProfileAll)...)}
	s.options.Namespace, s.options.WatchAllNamespaces = s.Namespace, false // the plane is shared
	var err error
	if s.stack, err = stack.New(t.TempDir(), filepath.Join(testplane.Root(t), "bin")); err != nil {
		t.Fatal(err)
	}
	if err := s.stack.Connect(s.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	s.gate = newGate(t, s.stack.Config)
	s.stack.Config = rest.CopyConfig(s.stack.Config) // the client of the test goes on to bypass the gate
	s.stack.Config.Host = s.gate.URL
	s.stack.Config.CAFile = ""
	s.stack.Config.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.gate.Certificate().Raw})
	for _, obj := range objects(t, s.options) {
		if kind := obj.GetKind(); kind == "CustomResourceDefinition" || kind == "Namespace" {
			continue // there, and shared
		}
		adjust(obj)
		s.apply(obj)
	}
	if _, err := s.stack.StartKubelet(t.Context(), s.Namespace); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) apply(obj *unstructured.Unstructured) {
	s.t.Helper()
	err := s.Client.Apply(s.t.Context(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("test"), client.ForceOwnership)
	if err != nil {
		s.t.Fatalf("applying %s: %v", manifest.IDOf(obj), err)
	}
}

// end stops the controllers and removes what is not of the namespace.
func (s *site) end() {
	if err := s.stack.Stop(); err != nil {
		s.t.Error(err)
	}
	if s.t.Failed() {
		for _, name := range append(install.All(), "kubelet") {
			log, err := os.ReadFile(filepath.Join(s.stack.Dir(), name+".log"))
			s.t.Logf("%s: %v\n%s", name, err, log[max(0, len(log)-4000):])
		}
	}
	for _, list := range []client.Object{&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}} {
		if err := s.Client.DeleteAllOf(context.Background(), list, client.MatchingLabels{"app.kubernetes.io/instance": s.Namespace}); err != nil {
			s.t.Error(err)
		}
	}
}

// create creates the objects of a manifest, in which NAME stands for something.
func (s *site) create(text string, names ...string) {
	s.t.Helper()
	objs, err := manifest.Read([]byte(strings.NewReplacer(append(names, "NAMESPACE", s.Namespace)...).Replace(text)))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, obj := range objs {
		obj.SetNamespace(s.Namespace)
		s.apply(obj)
	}
}

// ready waits until objects, as Kind/name, are Ready.
func (s *site) ready(refs ...string) {
	s.t.Helper()
	for _, ref := range refs {
		obj := s.object(ref)
		s.Wait("Ready", obj, func() bool { return condition(obj, "Ready") == "True" })
	}
}

// object is an object of the namespace.
func (s *site) object(ref string) *unstructured.Unstructured {
	kind, name, _ := strings.Cut(ref, "/")
	obj := &unstructured.Unstructured{}
	for gvk := range s.Client.Scheme().AllKnownTypes() {
		if gvk.Kind == kind && gvk.Version != runtime.APIVersionInternal && (obj.GetKind() == "" || gvk.Version == "v1") {
			obj.SetGroupVersionKind(gvk)
		}
	}
	obj.SetNamespace(s.Namespace)
	obj.SetName(name)
	return obj
}

func condition(obj *unstructured.Unstructured, of string) string {
	all, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range all {
		if c, _ := c.(map[string]any); c["type"] == of {
			return fmt.Sprint(c["status"])
		}
	}
	return ""
}

// gone deletes an object and waits for its end, which its controller must allow.
func (s *site) gone(ref string) {
	s.t.Helper()
	obj := s.object(ref)
	if err := s.Client.Delete(s.t.Context(), obj); err != nil {
		s.t.Fatal(err)
	}
	s.WaitGone(obj)
}

// checkRefusals tells what was granted to nobody and yet asked for.
func (s *site) checkRefusals() {
	s.t.Helper()
	for _, refused := range s.gate.refusals() {
		s.t.Errorf("refused: %s", refused)
	}
}

const sources = `
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {username: robot, password: secret}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: puller}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: variables}
data: {greeting: hello}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet}
spec: {url: GIT, interval: 1h, ref: {branch: main}, secretRef: {name: login}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts}
spec: {url: CHARTS, interval: 1h}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: files}
spec: {url: "oci://REGISTRY/files", interval: 1h, insecure: true, serviceAccountName: puller, ref: {tag: v1}}
`

const consumers = `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app}
spec:
  interval: 1h
  path: ./app
  prune: true
  wait: true
  sourceRef: {kind: GitRepository, name: fleet}
  postBuild: {substituteFrom: [{kind: ConfigMap, name: variables}, {kind: Secret, name: login}]}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop}
spec:
  interval: 1h
  chart: {spec: {chart: shop, version: 1.0.0, sourceRef: {kind: HelmRepository, name: charts}}}
  valuesFrom: [{kind: ConfigMap, name: variables, valuesKey: greeting, targetPath: greeting}]
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: app}
spec: {image: REGISTRY/app, interval: 1h, insecure: true, serviceAccountName: puller}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: app}
spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 1.x}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: updates}
spec:
  interval: 1h
  sourceRef: {kind: GitRepository, name: fleet}
  git: {commit: {author: {name: robot, email: robot@example.com}, messageTemplate: Update}}
  update: {strategy: Setters, path: ./app}
`

const files = `
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: NAMESPACE}
data:
  greeting: ${greeting}
  image: REGISTRY/app:1.0.0 # {"$imagepolicy": "NAMESPACE:app"}
`

const template = `
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {greeting: {{ .Values.greeting }}}
`

// sell runs through what every controller is for.
func (s *site) sell() {
	s.t.Helper()
	ctx := s.t.Context()
	if err := s.stack.StartGit(ctx); err != nil {
		s.t.Fatal(err)
	}
	repo, url, err := s.stack.Repository("fleet")
	if err != nil {
		s.t.Fatal(err)
	}
	charts, err := s.stack.StartCharts(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	registry := ocitest.Start(s.t, ocitest.Options{})
	for _, tag := range []string{"1.0.0", "1.0.1"} {
		registry.Push("app", tag, ocitest.Files(map[string]string{"version": tag}))
	}
	registry.Push("files", "v1", ocitest.Files(map[string]string{"file": "content"}))
	content := map[string]string{"app/map.yaml": strings.NewReplacer("NAMESPACE", s.Namespace, "REGISTRY", registry.Host()).Replace(files)}
	if _, err := repo.Commit("main", "Add the app", gitserver.Files(content)...); err != nil {
		s.t.Fatal(err)
	}
	if err := charts.Publish("shop", "1.0.0", map[string]string{"templates/map.yaml": template, "values.yaml": "greeting: none\n"}); err != nil {
		s.t.Fatal(err)
	}
	s.create(sources, "GIT", url, "CHARTS", charts.URL, "REGISTRY", registry.Host())
	s.ready("GitRepository/fleet", "HelmRepository/charts", "OCIRepository/files")
	s.create(consumers, "REGISTRY", registry.Host())
	s.ready("Kustomization/app", "HelmRelease/shop", "ImageRepository/app", "ImagePolicy/app", "ImageUpdateAutomation/updates")
	app := &corev1.ConfigMap{}
	app.Name, app.Namespace = "app", s.Namespace
	s.Wait("the new image", app, func() bool { return app.Data["greeting"] == "hello" && strings.HasSuffix(app.Data["image"], ":1.0.1") })
	s.Patch(app, "hand", "data: {greeting: tampered}") // is undone, by a watch
	s.Wait("the end of drift", app, func() bool { return app.Data["greeting"] == "hello" })
	shop := &corev1.ConfigMap{}
	shop.Name, shop.Namespace = "shop", s.Namespace
	s.Wait("the release", shop, func() bool { return shop.Data["greeting"] == "hello" })
	for _, ref := range []string{"HelmRelease/shop", "Kustomization/app", "ImageUpdateAutomation/updates", "ImagePolicy/app", "ImageRepository/app", "GitRepository/fleet"} {
		s.gone(ref)
	}
	s.WaitGone(app)
	s.WaitGone(shop)
}

func asItIs(*unstructured.Unstructured) {}

// TestRightsSuffice: with the rights of the manifests, and no others, each controller does
// what it is for, and is refused nothing that it asks for.
func TestRightsSuffice(t *testing.T) {
	t.Parallel()
	s := newSite(t, asItIs)
	s.sell()
	s.checkRefusals()
}

// TestRightsOfLockdownSuffice: the same, as ServiceAccounts of tenants. What a tenant does
// not have, nobody gives.
func TestRightsOfLockdownSuffice(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(obj *unstructured.Unstructured) {
		if obj.GetKind() == "ClusterRole" && strings.HasPrefix(obj.GetName(), "cluster-watcher-") { // what is applied, and what Helm keeps of releases, and no more
			obj.Object["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps", "secrets"}, "verbs": []any{"list", "watch"}}}
		}
	}, install.ProfileLockdown)
	s.create(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: default, namespace: NAMESPACE}]
`)
	s.sell()
	s.checkRefusals()
}

// TestNobodyReadsWithoutRights: the gate notes refusals, or the tests above say nothing.
func TestNobodyReadsWithoutRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, asItIs)
	role := &rbacv1.Role{}
	role.Name, role.Namespace = "source-controller", s.Namespace
	s.Patch(role, "test", `rules: [{apiGroups: [source.toolkit.fluxcd.io], resources: ["*"], verbs: ["*"]}]`)
	s.create(`
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet}
spec: {url: "http://127.0.0.1:1/fleet.git", interval: 1h, secretRef: {name: login}}
`)
	s.Eventually("a refusal", func() bool {
		return slices.ContainsFunc(s.gate.refusals(), func(r string) bool { return strings.Contains(r, "/secrets/login") })
	})
}

// TestPodsAreRestricted: the Pods of all controllers are admitted where the restricted
// profile is enforced.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	ns := &corev1.Namespace{}
	ns.Name = p.Namespace
	p.Patch(ns, "test", `metadata: {labels: {pod-security.kubernetes.io/enforce: restricted}}`)
	o := profile(t, install.ProfileAll, install.ProfileSharded)
	o.Namespace = p.Namespace
	admit := func(template map[string]any, name string) error {
		pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": template}}
		pod.SetName(name)
		pod.SetNamespace(p.Namespace)
		return p.Client.Create(t.Context(), pod, client.DryRunAll)
	}
	pods := 0
	for _, obj := range objects(t, o) {
		if obj.GetKind() == "ServiceAccount" {
			p.Create(obj)
		}
	}
	for _, obj := range objects(t, o) {
		if obj.GetKind() != "Deployment" {
			continue
		}
		spec, _, _ := unstructured.NestedMap(obj.Object, "spec", "template", "spec")
		if err := admit(spec, obj.GetName()); err != nil {
			t.Errorf("%s: %v", obj.GetName(), err)
		}
		pods++
		containers := spec["containers"].([]any)
		delete(containers[0].(map[string]any), "securityContext")
		if err := admit(spec, obj.GetName()); err == nil {
			t.Errorf("%s: it is admitted without its security context: the profile is not enforced", obj.GetName())
		}
	}
	if pods != 12 {
		t.Errorf("%d Pods; want those of 4 controllers and of their 2 shards", pods)
	}
}

// TestProgramsKnowTheirArguments asks each program for help after the arguments that the
// manifests give it: one that it does not know, it refuses.
func TestProgramsKnowTheirArguments(t *testing.T) {
	t.Parallel()
	identity := profile(t, install.ProfileAll)
	identity.WorkloadIdentity = true
	for _, o := range []install.Options{profile(t, install.ProfileAll, install.ProfileSharded, install.ProfileLockdown), profile(t, install.ProfileAll), identity} {
		for _, obj := range objects(t, o) {
			if obj.GetKind() != "Deployment" {
				continue
			}
			containers, _, _ := unstructured.NestedSlice(obj.Object, "spec", "template", "spec", "containers")
			var args []string
			for _, arg := range containers[0].(map[string]any)["args"].([]any) {
				args = append(args, arg.(string))
			}
			program := obj.GetLabels()["app.kubernetes.io/component"]
			if out, err := help(t, program, args); err != nil {
				t.Errorf("%s %q: %v\n%s", obj.GetName(), args, err, out)
			}
			if out, err := help(t, program, append(args, "--none")); err == nil || !bytes.Contains(out, []byte("unknown flag: --none")) {
				t.Errorf("%s: it takes a flag that is none: %v\n%s", obj.GetName(), err, out)
			}
			want := []string{"--events-addr=", "--watch-all-namespaces=", "--log-level=", "--log-encoding=json", "--enable-leader-election"}
			for i, prefix := range want {
				if i >= len(args) || !strings.HasPrefix(args[i], prefix) {
					t.Errorf("%s: argument %d of %q is not %s, and patches count them", obj.GetName(), i, args, prefix)
				}
			}
		}
	}
}
