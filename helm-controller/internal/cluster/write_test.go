package cluster_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/releases"
)

// TestUpgradeSendsWhatChanged: an installation checks and writes each object once and reads
// none; an upgrade that changes one of twenty sends one request.
func TestUpgradeSendsWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	const n = 20
	w.must(w.install(w.chart(configMaps(n, -1)...)))
	if dryRuns, writes, reads := w.writes(); dryRuns != n-1 || writes != n || reads > 1 {
		t.Errorf("the installation checked %d objects, wrote %d and read %d times; want %d, %d and the list that begins a watch: %v",
			dryRuns, writes, reads, n-1, n, w.Traffic.Requests())
	}
	if got := len(w.effects()); got != n {
		t.Errorf("%d changes are told; want %d", got, n)
	}
	cm := w.configMap("c07")
	if !w.Get(cm) {
		t.Fatal("an object was not created")
	}
	want := map[string]string{"meta.helm.sh/release-name": "rel", "meta.helm.sh/release-namespace": w.Namespace}
	if diff := cmp.Diff(want, cm.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if len(cm.ManagedFields) != 1 || cm.ManagedFields[0].Manager != cluster.Manager || cm.ManagedFields[0].Operation != metav1.ManagedFieldsOperationApply {
		t.Errorf("managed by %v; want an apply by %s", cm.ManagedFields, cluster.Manager)
	}

	w.Traffic.Reset()
	w.must(w.upgrade(w.chart(configMaps(n, 7)...)))
	if got := w.Traffic.Requests(); len(got) != 1 || !got[0].Write() || !strings.HasSuffix(got[0].Path, "/c07") {
		t.Errorf("the upgrade asked %v; want one write of c07", got)
	}
	if diff := cmp.Diff([]string{"ConfigMap c07 configured"}, w.effects()); diff != "" {
		t.Errorf("changes of the upgrade (-want +got):\n%s", diff)
	}

	w.Traffic.Reset()
	w.must(w.upgrade(w.chart(configMaps(n, 7)...)))
	if got := w.Traffic.Requests(); len(got) != 0 {
		t.Errorf("an upgrade to the same asked %v; want nothing", got)
	}
}

// TestWishesOfKustomizationsAreNotHeard: by them, kustomize-controller would leave an object
// alone; a release is of Helm, which knows nothing of them.
func TestWishesOfKustomizationsAreNotHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	wish := "annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled, kustomize.toolkit.fluxcd.io/ssa: Ignore}"
	w.must(w.install(w.chart(configMap("a", "one", wish))))
	w.must(w.upgrade(w.chart(configMap("a", "two", wish))))
	if cm := w.configMap("a"); !w.Get(cm) || cm.Data["k"] != "two" {
		t.Errorf("the object has %v; want what the upgrade says", cm.Data)
	}
}

func TestTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	foreign := w.configMap("a")
	foreign.Data = map[string]string{"k": "theirs", "more": "stays"}
	w.Create(foreign)

	_, err := w.install(w.chart(configMap("a", "ours")), with(func(o *cluster.Options) { o.TakeOwnership = false }))
	w.says(err, `ConfigMap "a" in namespace "NS" exists and cannot be imported`, "meta.helm.sh/release-name")
	if w.Get(foreign); foreign.Data["k"] != "theirs" {
		t.Error("an object was changed that was not to be taken over")
	}

	w.Traffic.Reset()
	w.must(w.install(w.chart(configMap("a", "ours"))))
	if _, writes, reads := w.writes(); writes != 1 || reads > 1 {
		t.Errorf("taking over one object took %v; want one write, and no look before", w.Traffic.Requests())
	}
	w.Get(foreign)
	if diff := cmp.Diff(map[string]string{"k": "ours", "more": "stays"}, foreign.Data); diff != "" {
		t.Errorf("what was taken over (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ConfigMap a configured"}, w.effects()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// methods are the two ways to apply.
func methods() map[string]setting {
	return map[string]setting{
		"server-side": with(func(o *cluster.Options) { o.Method = releases.ServerSide }),
		"client-side": with(func(o *cluster.Options) { o.Method = releases.ClientSide }),
	}
}

func TestUpgradeDeletesWhatLeft(t *testing.T) {
	t.Parallel()
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			kept := configMap("kept", "1", "annotations: {helm.sh/resource-policy: keep}")
			w.must(w.install(w.chart(configMap("stays", "1"), configMap("goes", "1"), configMap("moved", "1"), configMap("gone", "1"), kept), method))
			w.Patch(w.configMap("moved"), "helm", "metadata: {annotations: {meta.helm.sh/release-name: other}}")
			if err := w.Client.Delete(t.Context(), w.configMap("gone")); err != nil {
				t.Fatal(err)
			}
			w.must(w.upgrade(w.chart(configMap("stays", "1")), method))
			for object, want := range map[string]bool{"stays": true, "goes": false, "moved": true, "gone": false, "kept": true} {
				if got := w.Get(w.configMap(object)); got != want {
					t.Errorf("%s exists: %t; want %t", object, got, want)
				}
			}
			if diff := cmp.Diff([]string{"ConfigMap goes deleted"}, w.effects()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			for _, line := range []string{"ConfigMap/NS/moved stays: it is of release NS/other by now", "ConfigMap/NS/kept stays"} {
				if line = strings.ReplaceAll(line, "NS", w.Namespace); !strings.Contains(w.logged(), line) {
					t.Errorf("the log does not say %q", line)
				}
			}
		})
	}
}

func TestUninstall(t *testing.T) {
	t.Parallel()
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			held := configMap("held", "1", "finalizers: [example.com/hold]")
			kept := configMap("kept", "1", "annotations: {helm.sh/resource-policy: keep}")
			w.must(w.install(w.chart(configMap("a", "1"), configMap("moved", "1"), kept, held), method))
			w.Patch(w.configMap("moved"), "helm", "metadata: {annotations: {meta.helm.sh/release-name: other}}")
			ended := make(chan error, 1)
			go func() { ended <- w.uninstall(method, waiting) }()
			object := w.configMap("held")
			w.Wait("its deletion", object, func() bool { return object.DeletionTimestamp != nil })
			select {
			case err := <-ended:
				t.Fatalf("the uninstallation ended with %v while an object was left", err)
			default:
			}
			w.Patch(object, "test", "metadata: {finalizers: null}")
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			for object, want := range map[string]bool{"a": false, "moved": true, "kept": true, "held": false} {
				if got := w.Get(w.configMap(object)); got != want {
					t.Errorf("%s exists: %t; want %t", object, got, want)
				}
			}
		})
	}
}

// TestUninstallPropagates as it is asked to.
func TestUninstallPropagates(t *testing.T) {
	t.Parallel()
	for policy, left := range map[string]int{"orphan": 1, "foreground": 0} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.must(w.install(w.chart(deployment("web", "")), waiting))
			if err := w.uninstall(waiting, func(r *run) { r.propagation = policy }); err != nil {
				t.Fatal(err)
			}
			if w.Get(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "web"}}) {
				t.Error("the Deployment is there")
			}
			var sets appsv1.ReplicaSetList
			if err := w.Client.List(t.Context(), &sets, client.InNamespace(w.Namespace)); err != nil {
				t.Fatal(err)
			}
			if len(sets.Items) != left {
				t.Errorf("%d ReplicaSets are left; want %d", len(sets.Items), left)
			}
		})
	}
}

// TestNothingOfFailedReleasesIsLeft: the SDK compares with the release that was last
// deployed, and uninstalls the newest.
func TestNothingOfFailedReleasesIsLeft(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(*world, setting) error{
		"by an upgrade": func(w *world, earlier setting) error {
			_, err := w.upgrade(w.chart(configMap("newest", "1")), earlier)
			return err
		},
		"by an uninstallation": func(w *world, earlier setting) error { return w.uninstall(earlier) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			fails := job("j", "activeDeadlineSeconds: 1", nowhere, hook("post-upgrade", "hook-failed"))
			w.must(w.install(w.chart(configMap("first", "1"))))
			if _, err := w.upgrade(w.chart(configMap("second", "1"), fails)); err == nil {
				t.Fatal("the upgrade did not fail")
			}
			if _, err := w.upgrade(w.chart(configMap("third", "1"), fails)); err == nil {
				t.Fatal("the upgrade did not fail")
			}
			var manifests []string
			all, err := w.storage.History("rel")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				manifests = append(manifests, r.Manifest)
			}
			if err := next(w, with(func(o *cluster.Options) { o.Earlier = manifests })); err != nil {
				t.Fatal(err)
			}
			for _, left := range []string{"first", "second", "third"} {
				if w.Get(w.configMap(left)) {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}

// TestUninstallWaitsForEarlierReleases: the SDK knows the objects of the newest one.
func TestUninstallWaitsForEarlierReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.must(w.install(w.chart(configMap("held", "1", "finalizers: [example.com/hold]"))))
	all, err := w.storage.History("rel")
	if err != nil {
		t.Fatal(err)
	}
	fails := job("j", "activeDeadlineSeconds: 1", nowhere, hook("post-upgrade", "hook-failed"))
	if _, err := w.upgrade(w.chart(configMap("newest", "1"), fails)); err == nil {
		t.Fatal("the upgrade did not fail")
	}
	waits, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- w.uninstall(waiting, with(func(o *cluster.Options) {
			o.Earlier = []string{all[0].Manifest}
			o.Lend = func() func() { waits <- struct{}{}; return func() {} }
		}))
	}()
	select {
	case <-waits:
	case err := <-ended:
		t.Fatalf("the uninstallation ended with %v while an object was left", err)
	}
	w.Patch(w.configMap("held"), "test", "metadata: {finalizers: null}")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if w.Get(w.configMap("held")) {
		t.Error("the object is left")
	}
}

// TestCleanupOnFail: what a failed upgrade has created goes again.
func TestCleanupOnFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.must(w.install(w.chart(configMap("a", "1"))))
	stuck := strings.Replace(deployment("stuck", nowhere), "replicas:", "progressDeadlineSeconds: 1\n  replicas:", 1)
	_, err := w.upgrade(w.chart(configMap("a", "1"), configMap("fresh", "1"), stuck), waiting, func(r *run) { r.cleanup = true })
	w.says(err, "failed early", "Deployment/NS/stuck")
	if w.Get(w.configMap("fresh")) || !w.Get(w.configMap("a")) {
		t.Error("want what was created to be gone, and what was there before to stay")
	}
}

func TestClientSide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	method := methods()["client-side"]
	w.must(w.install(w.chart(configMap("a", "1"), configMap("b", "1")), method))
	cm := w.configMap("a")
	w.Get(cm)
	if len(cm.ManagedFields) != 1 || cm.ManagedFields[0].Manager != cluster.Manager || cm.ManagedFields[0].Operation != metav1.ManagedFieldsOperationUpdate {
		t.Errorf("managed by %v; want an update by %s", cm.ManagedFields, cluster.Manager)
	}
	w.must(w.upgrade(w.chart(configMap("a", "2"), configMap("b", "1"), configMap("c", "1")), method))
	if w.Get(cm); cm.Data["k"] != "2" {
		t.Errorf("the value is %q; want 2", cm.Data["k"])
	}
	if diff := cmp.Diff([]string{"ConfigMap a configured", "ConfigMap c created"}, w.effects()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// TestPlainTextThatLeavesASecretGoes: the API server keeps it as data.
func TestPlainTextThatLeavesASecretGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	secret := func(text string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s, OWNED}\nstringData: {" + text + "}\n"
	}
	w.must(w.install(w.chart(secret("a: one, b: two"))))
	w.must(w.upgrade(w.chart(secret("a: one"))))
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "s"}}
	w.Get(s)
	if diff := cmp.Diff(map[string][]byte{"a": []byte("one")}, s.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// TestObjectsAreAsApplied: who applies what Objects returns sends nothing after an action.
func TestObjectsAreAsApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s, OWNED}\nstringData: {a: one}\n"
	rel, err := w.install(w.chart(append(configMaps(3, -1), secret)...))
	w.must(rel, err)
	objs, err := cluster.Objects(w.at, w.release(), rel.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	if len(objs) != 4 {
		t.Fatalf("%d objects; want 4", len(objs))
	}
	if !w.idle(objs) {
		t.Error("the objects are to be applied again; want all of them to be as the action has left them")
	}
}

// TestTemplatesMayDefineKinds that other templates are of.
func TestTemplatesMayDefineKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	group := w.Namespace + ".example.com"
	definition := strings.ReplaceAll(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.GROUP, OWNED}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Lamp, plural: lamps, singular: lamp}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, "GROUP", group)
	lamp := "apiVersion: " + group + "/v1\nkind: Lamp\nmetadata: {name: x, OWNED}\n"
	w.must(w.install(w.chart(definition, lamp), waiting))
	if diff := cmp.Diff([]string{"CustomResourceDefinition lamps." + group + " created", "Lamp x created"}, w.effects()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if err := w.uninstall(waiting); err != nil {
		t.Error(err)
	}
}

// TestManifestOfAKindThatIsGone: a release is not stuck because a kind of it is not served
// any more.
func TestManifestOfAKindThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.must(w.install(w.chart(configMap("a", "1"))))
	rel, err := w.storage.Last("rel")
	if err != nil {
		t.Fatal(err)
	}
	rel.Manifest += "---\napiVersion: gone.example.com/v1\nkind: Lamp\nmetadata: {name: x}\n" +
		"---\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: old}\n"
	if err := w.storage.Update(rel); err != nil {
		t.Fatal(err)
	}
	w.Create(&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "old"}})
	w.must(w.upgrade(w.chart(configMap("a", "2"))))
	if diff := cmp.Diff([]string{"ConfigMap a configured", "PodDisruptionBudget old deleted"}, w.effects()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
