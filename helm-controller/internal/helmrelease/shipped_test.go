package helmrelease_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

// shipped is what comes of a chart of charttest that is released as app.
type shipped struct {
	why         string
	values      string                            // in the place of those for a plane
	objects     map[string]int                    // of the release, by kind
	definitions int                               // of its crds folder
	notes       string                            // a part of them; "" where there are none
	tests       bool                              // are run
	meanwhile   func(*world)                      // what the cluster does until it is Ready
	check       func(*world, *helmv2.HelmRelease) // what else is to be seen
	stays       func(*world) []client.Object      // when the release goes
}

// fewTenants are values that leave the big chart the first of its tenants: all of them would
// take a busy plane too long.
func fewTenants(left int) string {
	var text strings.Builder
	text.WriteString("tenants:\n")
	for n := left; n < 120; n++ {
		fmt.Fprintf(&text, "  tenant-%03d: null\n", n)
	}
	return text.String()
}

func shippedCharts() map[string]shipped {
	return map[string]shipped{
		"big": {
			why: "many objects are one release", objects: map[string]int{"ConfigMap": 30, "Secret": 30, "ServiceAccount": 30},
			values: fewTenants(30),
		},
		"certificates": {why: "lookup finds what an earlier render made", objects: map[string]int{"Secret": 1, "Service": 1, "ValidatingWebhookConfiguration": 1}, check: (*world).checkCertificates},
		"database": {
			why: "a password is made once", objects: map[string]int{"PersistentVolume": 1, "Secret": 1, "Service": 2, "StatefulSet": 1},
			notes: "app-database.", check: (*world).checkDatabase,
		},
		"documents": {
			why: "whatever separates documents, each is one object", objects: map[string]int{"ConfigMap": 8}, notes: "Kept: true",
			stays: func(w *world) []client.Object { return []client.Object{w.configMap("app-kept")} },
		},
		"files": {why: "files of the chart get into objects", objects: map[string]int{"ConfigMap": 3, "Secret": 1}, check: (*world).checkFiles},
		"hooks": {
			why: "hooks are no part of the release, and stay as their policies say", objects: map[string]int{"ConfigMap": 1}, tests: true,
			check: (*world).checkHooks, stays: hooksThatStay,
		},
		"library":      {why: "there is nothing in it, so nothing is made"},
		"microservice": {why: "what a library renders is released", objects: map[string]int{"Deployment": 1, "Service": 1}},
		"migrations": {
			why: "Jobs are awaited, those of tests too", objects: map[string]int{"ConfigMap": 1, "CronJob": 1, "Job": 1}, notes: "Installed with schema 1.", tests: true,
			check: (*world).checkMigrations,
		},
		"oddities": {why: "what is odd is valid", objects: map[string]int{"ConfigMap": 4, "Deployment": 1}, check: (*world).checkOddities},
		"operator": {
			why: "definitions come before their objects, and stay", definitions: 2, check: (*world).checkOperator, stays: definitionsThatStay,
			objects: map[string]int{"ClusterRole": 1, "ClusterRoleBinding": 1, "Deployment": 1, "Role": 1, "RoleBinding": 1, "ServiceAccount": 1, "Widget": 1},
		},
		"strict": {why: "values that are good pass", objects: map[string]int{"ConfigMap": 1, "ResourceQuota": 1}},
		"umbrella": {
			why: "charts below are of the same release", objects: map[string]int{"ConfigMap": 2, "DaemonSet": 1, "Deployment": 2, "Service": 1},
			notes: "The shop 3.0.0-rc.1+build.7 consists of: cache, indexer, mailer, metrics.",
		},
		"versions": {
			why: "the chart sees what the cluster serves", objects: map[string]int{"ConfigMap": 1, "CronJob": 1, "Ingress": 1, "PodDisruptionBudget": 1},
			check: (*world).checkVersions,
		},
		"webapp": {
			why: "the test is a Pod, which must end", objects: map[string]int{"ConfigMap": 1, "Deployment": 1, "Service": 1, "ServiceAccount": 1}, tests: true,
			notes: "port-forward service/app-webapp 8080:80", meanwhile: func(w *world) { w.endPod("app-webapp-test-connection") },
		},
		"worker": {why: "it is a chart of its own, too", objects: map[string]int{"Deployment": 1}},
	}
}

// endPod has a Pod end well once it runs, as its only container would.
func (w *world) endPod(name string) {
	w.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
	w.Wait("the Pod to run", pod, func() bool { return pod.Status.Phase == corev1.PodRunning })
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`))
	if err := w.Client.Status().Patch(w.t.Context(), pod, patch); err != nil {
		w.t.Fatal(err)
	}
}

// secret is a Secret of the test's namespace, as it is now.
func (w *world) secret(name string) *corev1.Secret {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
	if !w.Get(s) {
		w.t.Errorf("Secret %s is not there", name)
	}
	return s
}

func (w *world) checkCertificates(hr *helmv2.HelmRelease) {
	was := w.secret("app-webhook")
	hook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace + "-app-webhook"}}
	if !w.Get(hook) || !slices.Equal(hook.Webhooks[0].ClientConfig.CABundle, was.Data["ca.crt"]) {
		w.t.Errorf("the authority of the webhook is not that of its certificate")
	}
	w.change(hr, values("days: 30"))
	w.waitReleased(hr, 2)
	if diff := cmp.Diff(was.Data, w.secret("app-webhook").Data); diff != "" {
		w.t.Errorf("the certificates have changed (-before +after):\n%s", diff)
	}
	w.change(hr, values("{days: 30, keep: false}"))
	w.waitReleased(hr, 3)
	if cmp.Equal(was.Data, w.secret("app-webhook").Data) {
		w.t.Error("the certificates are the same, though nothing keeps them")
	}
}

func (w *world) checkDatabase(hr *helmv2.HelmRelease) {
	was := w.secret("app-database").Data["password"]
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app-database-primary"}}
	if !w.Get(set) || set.Status.ReadyReplicas != 1 {
		w.t.Errorf("the StatefulSet has status %+v; want the release not to be Ready before", set.Status)
	}
	w.change(hr, func(s *helmv2.HelmReleaseSpec) {
		s.Values.Raw = []byte(strings.TrimSuffix(string(s.Values.Raw), "}") + `, "metrics": {"enabled": true}}`)
	})
	w.waitReleased(hr, 2)
	if got := w.secret("app-database").Data["password"]; len(was) != 24 || !slices.Equal(got, was) {
		w.t.Errorf("the password had %d bytes and is the same: %t; want 24, and that lookup keeps it", len(was), slices.Equal(got, was))
	}
	if notes := w.newest("app").Info.Notes; !strings.Contains(notes, "This was upgrade 2.") {
		w.t.Errorf("notes are %q; want those of the upgrade", notes)
	}
}

func (w *world) checkFiles(*helmv2.HelmRelease) {
	cm := w.configMap("app-config")
	w.Get(cm)
	got := map[string]string{"greeting": cm.Data["greeting"], "draft": cm.Data["draft"], "users": cm.Data["users"]}
	want := map[string]string{"greeting": "Hello from app", "draft": "not here", "users": "- us\n- them\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the ConfigMap (-want +got):\n%s", diff)
	}
	if data := cm.BinaryData["logo.png"]; !strings.HasPrefix(string(data), "\x89PNG") {
		w.t.Errorf("logo.png has %d bytes; want it as it is in the chart", len(data))
	}
	if data := w.secret("app-credentials").Data; len(data) != 2 {
		w.t.Errorf("the Secret has %d files; want 2", len(data))
	}
}

func (w *world) checkOddities(*helmv2.HelmRelease) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app-anchors"}}
	if !w.Get(d) || *d.Spec.Replicas != 2 || len(d.Spec.Template.Spec.Containers) != 2 || d.Status.ReadyReplicas != 2 {
		w.t.Errorf("the Deployment is %+v; want the two replicas of 0x2, of two containers by an anchor", d.Spec)
	}
	cm := w.configMap("app-text")
	if w.Get(cm); cm.Data["octal"] != "0777" || cm.Data["version"] != "1.10" || cm.Data["kept"] != "with the lines at the end\n\n" {
		w.t.Errorf("texts are %q; want them as they are written", cm.Data)
	}
}

// definitionsThatStay are those of the operator.
func definitionsThatStay(w *world) []client.Object {
	var out []client.Object
	for _, plural := range []string{"widgets", "widgetpools"} {
		out = append(out, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: plural + "." + w.group()}})
	}
	return out
}

// widget is one of the operator's kind, to be read.
func (w *world) widget(name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(schema.GroupVersionKind{Group: w.group(), Version: "v1", Kind: "Widget"})
	obj.SetNamespace(w.Namespace)
	obj.SetName(name)
	return obj
}

func (w *world) checkOperator(*helmv2.HelmRelease) {
	small := w.widget("app-small")
	if w.Get(small); small.Object["spec"] == nil {
		w.t.Fatal("the Widget is not there")
	}
	if diff := cmp.Diff(map[string]any{"size": int64(1), "color": "blue"}, small.Object["spec"]); diff != "" {
		w.t.Errorf("the Widget, with the default of its definition (-want +got):\n%s", diff)
	}
	for _, obj := range definitionsThatStay(w) {
		if !w.Get(obj) || obj.GetLabels()[helmv2.LabelName] != "app" {
			w.t.Errorf("definition %s has labels %v; want those of the HelmRelease", obj.GetName(), obj.GetLabels())
		}
	}
}

// checkVersions: what the cluster serves later is seen by the next release.
func (w *world) checkVersions(hr *helmv2.HelmRelease) {
	asked, err := discovery.NewDiscoveryClientForConfig(w.Config())
	if err != nil {
		w.t.Fatal(err)
	}
	version, err := asked.ServerVersion()
	if err != nil {
		w.t.Fatal(err)
	}
	want := map[string]string{"minor": version.Minor, "widgets": "false", "helm": "3 or later", "crds": "true"}
	cm := w.configMap("app-versions")
	w.Get(cm)
	if diff := cmp.Diff(want, cm.Data); diff != "" {
		w.t.Errorf("what the chart saw (-want +got):\n%s", diff)
	}
	operator := w.helmChart("operator")
	w.offer(operator, w.charts.Publish(w.shared("operator")))
	w.waitReleased(w.release("operator", from(sourcev1.HelmChartKind, "operator")), 1)
	w.Eventually("the API server to tell the kinds", func() bool {
		_, err := asked.ServerResourcesForGroupVersion(w.group() + "/v1")
		groups, all := asked.ServerGroups()
		return err == nil && all == nil && slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == w.group() })
	})
	w.ask(hr, helmv2.ForceRequestAnnotation)
	w.waitReleased(hr, 2)
	if w.Get(cm); cm.Data["widgets"] != "true" || !w.Get(w.widget("app-versions")) {
		w.t.Errorf("the chart saw %v; want it to see the kinds, and to use them", cm.Data)
	}
}
