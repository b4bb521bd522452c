package installation_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/deploy/install"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

var update = flag.Bool("update", false, "write the outputs that are expected anew")

const namespace = install.Namespace

// cluster is one of the test's own, whose nodes run the programs of its Deployments.
type cluster struct {
	*stack.Stack
	t     *testing.T
	cache string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	all, err := stack.New(t.TempDir(), filepath.Join(testplane.Root(t), "bin"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := all.Stop(); err != nil {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(all.Dir(), "kubelet.log")); t.Failed() && err == nil {
			t.Logf("kubelet: %s", log)
		}
	})
	if err := all.StartPlane(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := all.StartGit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := all.StartKubelet(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return &cluster{Stack: all, t: t, cache: t.TempDir()}
}

// transcript is what commands print, one after the other.
type transcript struct {
	*cluster
	text strings.Builder
}

// weir runs the command, and returns its exit code.
func (tr *transcript) weir(line string) int { return tr.answer("", line) }

// answer runs the command on a terminal where somebody types; nobody does if it is "".
func (tr *transcript) answer(typed, line string) int {
	tr.t.Helper()
	var out bytes.Buffer
	streams := session.Streams{In: strings.NewReader(typed), Out: &out, Err: &out, Terminal: typed != ""}
	s := session.New(streams, func(string) string { return "" })
	args := append([]string{"--kubeconfig", tr.Kubeconfig, "--cache-dir", tr.cache, "--timeout", "5m"}, strings.Fields(line)...)
	code := verb.Run(tr.t.Context(), s, args)
	fmt.Fprintf(&tr.text, "$ weir %s\n%s[%d]\n\n", line, clean(out.String()), code)
	return code
}

var (
	moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	server = regexp.MustCompile(`Kubernetes v[0-9.]+`)
)

// clean replaces what differs from run to run.
func clean(text string) string {
	return server.ReplaceAllString(moment.ReplaceAllString(text, "TIME"), "Kubernetes VERSION")
}

// leaveOut leaves out what need not be printed.
func (tr *transcript) leaveOut(line string) {
	text := strings.ReplaceAll(tr.text.String(), line, "")
	tr.text.Reset()
	tr.text.WriteString(text)
}

// compare compares all that was printed with a file.
func (tr *transcript) compare(name string) {
	tr.t.Helper()
	file := filepath.Join("testdata", name+".txt")
	got := tr.text.String()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			tr.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tr.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		tr.t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

func (c *cluster) script() *transcript { return &transcript{cluster: c} }

func (c *cluster) do(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) until(obj client.Object, ok func() bool) {
	c.t.Helper()
	c.do(c.Until(c.t.Context(), obj, ok))
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// deliver has the controllers bring a workload into a namespace of its own, and returns it.
func (c *cluster) deliver() *corev1.ConfigMap {
	c.t.Helper()
	ctx := c.t.Context()
	repo, url, err := c.Repository("fleet")
	c.do(err)
	_, err = repo.Commit("main", "Add the app", gitserver.Files(map[string]string{
		"app.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: app}\n",
	})...)
	c.do(err)
	hour := metav1.Duration{Duration: 1 << 42}
	c.do(c.Client.Create(ctx, &sourcev1.GitRepository{ObjectMeta: named("fleet"), Spec: sourcev1.GitRepositorySpec{
		URL: url, Interval: hour, Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
	}}))
	c.do(c.Client.Create(ctx, &kustomizev1.Kustomization{ObjectMeta: named("app"), Spec: kustomizev1.KustomizationSpec{
		Interval: hour, Prune: true, SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: "fleet"},
	}}))
	app := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "app"}}
	c.until(app, func() bool { return stack.Exists(app) })
	return app
}

// TestInstallation is the life of an installation: each command on what the one before has
// left.
func TestInstallation(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	registry := "--registry registry.example.com/weir"

	empty := c.script()
	empty.weir("check --pre")
	empty.weir("check")
	empty.weir("install")
	empty.weir("uninstall -s")
	empty.compare("empty")

	first := c.script()
	first.weir("install " + registry + " --dry-run")
	first.weir("install " + registry + " --components-extra image-controller")
	first.weir("check")
	c.admit("viewer")
	first.weir("check --as viewer")
	first.weir("check --components-extra image-reflector-controller,notification-controller")
	first.weir("install --components-extra image-controller") // the registry is known, and nothing is to be done
	first.weir("install -n other " + registry)
	c.patch(deployment("source-controller"), `{"metadata":{"annotations":{"weir.dev/version":"v9.0.0"}}}`)
	first.weir("install --components-extra image-controller") // by an older command
	c.patch(deployment("source-controller"), `{"metadata":{"annotations":{"weir.dev/version":"v0.1.0"}}}`)
	first.weir("install --components-extra image-controller --watch-all-namespaces=false")
	first.weir("install --components-extra image-controller") // which stays
	first.weir("install --components-extra image-controller --watch-all-namespaces")
	first.compare("install")

	less := c.script()
	less.weir("install --profile sharded --shards a")
	less.weir("install --shards= --network-policy=false --components source-controller,kustomize-controller,helm-controller --dry-run")
	less.weir("install --shards= --network-policy=false --components source-controller,kustomize-controller,helm-controller")
	less.weir("check")
	less.weir("install --components-extra image-controller --network-policy")
	less.compare("less")

	app := c.deliver()
	c.damage(app)
	c.uninstall(app)
	c.finish()
	c.upgrade()
}

// admit lets somebody see the namespace of the controllers, and nothing else.
func (c *cluster) admit(name string) {
	ctx := c.t.Context()
	c.do(c.Client.Create(ctx, &rbacv1.Role{ObjectMeta: named(name), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"apps", "networking.k8s.io"}, Resources: []string{"deployments", "networkpolicies"}, Verbs: []string{"get", "list"},
	}}}))
	c.do(c.Client.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: named(name), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}))
}

// damage has check look at what is wrong.
func (c *cluster) damage(app *corev1.ConfigMap) {
	ctx := c.t.Context()
	c.do(c.Client.DeleteAllOf(ctx, &networkingv1.NetworkPolicy{}, client.InNamespace(namespace)))
	c.do(c.Client.Delete(ctx, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "buckets.source.toolkit.fluxcd.io"}}))
	buckets := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "buckets.source.toolkit.fluxcd.io"}}
	c.until(buckets, func() bool { return !stack.Exists(buckets) && buckets.UID == "" })
	c.patch(deployment("helm-controller"), `{"spec":{"replicas":0}}`)
	c.patch(deployment("image-controller"), `{"metadata":{"annotations":{"weir.dev/version":null}}}`)
	helm := deployment("helm-controller")
	c.until(helm, func() bool { return helm.Status.Replicas == 0 && helm.Status.ObservedGeneration == helm.Generation })
	damaged := c.script()
	damaged.weir("check")
	damaged.compare("damaged")
	c.until(app, func() bool { return stack.Exists(app) })
}

func deployment(name string) *appsv1.Deployment { return &appsv1.Deployment{ObjectMeta: named(name)} }

func (c *cluster) patch(obj client.Object, patch string) {
	c.t.Helper()
	c.do(c.Client.Patch(c.t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(patch))))
}

// uninstall takes the installation out. What it has brought stays.
func (c *cluster) uninstall(app *corev1.ConfigMap) {
	c.t.Helper()
	removed := c.script()
	removed.weir("uninstall")
	removed.answer("no\n", "uninstall")
	removed.weir("uninstall --dry-run")
	removed.weir("check --pre")
	if removed.answer("y\n", "uninstall") != 0 {
		c.t.Fatalf("it was not uninstalled:\n%s", removed.text.String())
	}
	removed.weir("uninstall -s")
	removed.compare("uninstall")
	if c.until(app, func() bool { return true }); !stack.Exists(app) {
		c.t.Error("the workload went with the installation")
	}
	left := &apiextensionsv1.CustomResourceDefinitionList{}
	if c.do(c.Client.List(c.t.Context(), left)); len(left.Items) > 0 {
		c.t.Errorf("%d definitions are left", len(left.Items))
	}
}

// finish uninstalls what somebody has tried to remove by hand, in the wrong order.
func (c *cluster) finish() {
	c.t.Helper()
	ctx := c.t.Context()
	half := c.script()
	if half.weir("install --registry registry.example.com/weir") != 0 {
		c.t.Fatalf("it was not installed:\n%s", half.text.String())
	}
	ks := &kustomizev1.Kustomization{ObjectMeta: named("app"), Spec: kustomizev1.KustomizationSpec{
		Interval: metav1.Duration{Duration: 1 << 42}, SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: "none"},
	}}
	c.do(c.Client.Create(ctx, ks))
	c.until(ks, func() bool { return len(ks.Finalizers) > 0 })
	for _, name := range []string{"source-controller", "kustomize-controller", "helm-controller"} {
		d := deployment(name)
		c.do(c.Client.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationForeground)))
		c.until(d, func() bool { return d.UID == "" })
	}
	c.do(c.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	c.until(ks, func() bool { return !ks.DeletionTimestamp.IsZero() })
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	c.until(ns, func() bool { // nothing else is left
		return slices.ContainsFunc(ns.Status.Conditions, func(cond corev1.NamespaceCondition) bool {
			return cond.Type == corev1.NamespaceContentRemaining && cond.Message == "Some resources are remaining: kustomizations.kustomize.toolkit.fluxcd.io has 1 resource instances"
		})
	})
	finished := c.script()
	finished.weir("uninstall -s")
	finished.leaveOut("► Namespace/" + namespace + " deleted\n") // it may be gone by then, with all that was in it
	finished.compare("finish")
	c.until(ns, func() bool { return ns.UID == "" })
}

// alien is a definition that no installation with labels has brought.
func alien() *apiextensionsv1.CustomResourceDefinition {
	return definition("notification", "Receiver", "v1")
}

// definition is one of a group of the toolkit, with versions of which the last is that of
// storage.
func definition(group, kind string, versions ...string) *apiextensionsv1.CustomResourceDefinition {
	keep, name := true, strings.ToLower(kind)
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name + "s." + group + ".toolkit.fluxcd.io"}}
	crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
		Group: group + ".toolkit.fluxcd.io", Scope: apiextensionsv1.NamespaceScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: name + "s", Singular: name, Kind: kind, ListKind: kind + "List"},
	}
	for i, v := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: v, Served: true, Storage: i == len(versions)-1,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &keep}},
		})
	}
	return crd
}

// outdated has a Kustomization be stored in a version that weir does not have, as in clusters
// that another distribution has served for long; and a definition of somebody else.
func (c *cluster) outdated() {
	c.t.Helper()
	ctx := c.t.Context()
	c.do(c.Client.Create(ctx, alien()))
	crd := definition("kustomize", "Kustomization", "v1beta2")
	c.do(c.Client.Create(ctx, crd))
	old := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1beta2", "kind": "Kustomization", "metadata": map[string]any{"name": "old", "namespace": namespace},
		"spec": map[string]any{"interval": "1h", "prune": false, "suspend": true, "sourceRef": map[string]any{"kind": "GitRepository", "name": "none"}},
	}}
	c.until(crd, func() bool { return c.Client.Create(ctx, old.DeepCopy()) == nil })
	c.do(c.Client.Get(ctx, client.ObjectKeyFromObject(crd), crd))
	crd.Spec.Versions = definition("kustomize", "Kustomization", "v1beta2", "v1").Spec.Versions
	c.do(c.Client.Update(ctx, crd))
	ks := &kustomizev1.Kustomization{ObjectMeta: named("old")}
	c.until(ks, func() bool { return stack.Exists(ks) })
}

// upgrade installs over controllers of another distribution, keeps the namespace of which
// others live, and does not touch what another installation needs.
func (c *cluster) upgrade() {
	c.t.Helper()
	ctx := c.t.Context()
	c.do(c.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	for _, name := range []string{"source-controller", "image-reflector-controller", "notification-controller"} {
		d := foreign(name)
		c.do(c.Client.Create(ctx, d))
		c.until(d, func() bool { return d.Status.ReadyReplicas == 1 && d.Status.ObservedGeneration == d.Generation })
	}
	c.outdated()
	over := c.script()
	over.weir("check")
	over.weir("install --registry registry.example.com/weir --components-extra image-reflector-controller,image-automation-controller")
	over.weir("check")
	over.weir("install -n other --registry registry.example.com/weir --force --components source-controller")
	over.weir("check")
	theirs := &sourcev1.HelmRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "theirs"}, Spec: sourcev1.HelmRepositorySpec{
		URL: "oci://registry.example.com/charts", Type: sourcev1.HelmRepositoryTypeOCI, Interval: metav1.Duration{Duration: 1 << 42},
	}}
	c.do(c.Client.Create(ctx, theirs))
	over.weir("uninstall -s -n other") // of which the others go on to look after
	c.do(c.Client.Delete(ctx, theirs))
	c.until(theirs, func() bool { return theirs.UID == "" })
	over.weir("uninstall -s -n other")
	c.do(c.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}))
	over.weir("uninstall -s -n team")
	c.do(c.Client.Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: named("data"), Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: quantity("1Gi")},
	}}))
	over.weir("uninstall -s")
	over.compare("upgrade")
	if alien := alien(); c.Client.Get(ctx, client.ObjectKeyFromObject(alien), alien) != nil {
		c.t.Error("the definition of somebody else is gone")
	}
	manager := &appsv1.DeploymentList{}
	if c.do(c.Client.List(context.WithoutCancel(ctx), manager, client.InNamespace(namespace))); len(manager.Items) > 0 {
		c.t.Errorf("%d Deployments are left", len(manager.Items))
	}
}
