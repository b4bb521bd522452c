package helmrelease_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/tenant"
)

// inClusterOf has the release made in the cluster that a ConfigMap tells of.
func inClusterOf(name string) func(*helmv2.HelmReleaseSpec) {
	return func(s *helmv2.HelmReleaseSpec) {
		s.KubeConfig = &meta.KubeConfigReference{ConfigMapRef: &meta.LocalObjectReference{Name: name}}
	}
}

// clusterConfig creates a ConfigMap that tells of a cluster, which is this one, and of whose
// tokens to come with.
func (w *world) clusterConfig(name, account string) {
	w.t.Helper()
	cfg := w.Config()
	ca := string(cfg.CAData)
	if ca == "" {
		data, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			w.t.Fatal(err)
		}
		ca = string(data)
	}
	w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{
		"provider": "generic", "address": cfg.Host, "ca.crt": ca, "serviceAccountName": account, "audiences": w.audience(),
	}})
}

// audience is what the API server takes a token for.
func (w *world) audience() string {
	w.t.Helper()
	var found struct {
		Issuer string `json:"issuer"`
	}
	cfg := w.Config()
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, strings.TrimSuffix(cfg.Host, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := hc.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&found); err != nil {
		w.t.Fatal(err)
	}
	return found.Issuer
}

// TestClusterByConfigMap gets tokens of a ServiceAccount for another cluster, which trusts
// those of this one since it is the same.
func TestClusterByConfigMap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--feature-gates=ObjectLevelWorkloadIdentity=true")
	w.account("team")
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", inClusterOf("cluster"))
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRESTClientError)
	if !strings.Contains(c.Message, "ConfigMap '"+w.Namespace+"/cluster'") {
		t.Errorf("Ready says %q; want it to name the ConfigMap", c.Message)
	}
	w.clusterConfig("cluster", "team")
	w.waitReleased(hr, 1) // at once, not after an interval
	w.expectValue("app", "1")

	// It is the ServiceAccount that works there, which may not make Deployments.
	more := w.helmChart("more")
	w.offer(more, w.charts.Publish(stuck(t, "1.1.0")))
	mayNot := w.release("may-not", inClusterOf("cluster"), from(sourcev1.HelmChartKind, more.Name))
	c = w.WaitCondition(mayNot, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	if !strings.Contains(c.Message, tenant.User(w.Namespace, "team")) || !strings.Contains(c.Message, "deployments") {
		t.Errorf("Ready says %q; want it to name the user and what it may not", c.Message)
	}
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(w.configMap("app"))
}

// readyMessage is what Ready says.
func readyMessage(hr *helmv2.HelmRelease) string {
	for _, c := range hr.Status.Conditions {
		if c.Type == helmv2.ConditionReady {
			return c.Message
		}
	}
	return ""
}

// TestWhatOneMayNotLookForHoldsUpNothing: an upgrade has failed because of an object that the
// tenant may not make, nor look for when it has left the chart again.
func TestWhatOneMayNotLookForHoldsUpNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account("team")
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.ServiceAccountName = "team" })
	w.waitReleased(hr, 1)
	w.publish(stuck(t, "1.1.0"))
	w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonRetriesExceeded)
	w.publish(demo(t, "1.2.0"))
	w.waitReleased(hr, 3)
	if cm := w.configMap("app"); !w.Get(cm) || cm.Data["chart"] != "1.2.0" {
		t.Errorf("the ConfigMap is of chart %q; want 1.2.0", cm.Data["chart"])
	}
}

// serving lets an account do anything with Services, until the returned function is called.
func (w *world) serving(account string) (noMore func()) {
	w.t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: account + "-serving"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"*"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.Namespace, Name: account}},
	}
	w.Create(role)
	w.Create(binding)
	w.WaitMay(account, "services", true)
	return func() {
		w.t.Helper()
		for _, obj := range []client.Object{binding, role} {
			if err := w.Client.Delete(w.t.Context(), obj); err != nil {
				w.t.Fatal(err)
			}
		}
		w.WaitMay(account, "services", false)
	}
}

// TestWhatOneMayNotLookForIsNotForgotten: it has left the chart while the tenant had lost the
// right to it, and goes when that is back.
func TestWhatOneMayNotLookForIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account("team")
	noMore := w.serving("team")
	w.publish(demo(t, "1.0.0", "templates/svc.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {ports: [{port: 80}]}\n"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.ServiceAccountName = "team" })
	w.waitReleased(hr, 1)
	noMore()
	service := "Service/" + w.Namespace + "/app"
	for i, version := range []string{"1.1.0", "1.2.0"} { // not only for as long as one release
		w.publish(demo(t, version))
		w.waitReleased(hr, i+2)
		if !slices.ContainsFunc(hr.Status.Inventory.Entries, func(e helmv2.ResourceRef) bool { return strings.HasSuffix(e.ID, "_Service") }) {
			t.Errorf("the inventory of release %d is %v; want it to have the Service", i+2, hr.Status.Inventory.Entries)
		}
		w.Eventually("one warning for each release", func() bool {
			told := 0
			for _, e := range w.events(hr) {
				if e.Type == corev1.EventTypeWarning && e.Reason == helmv2.ReasonPruneFailed && strings.Contains(e.Message, service) {
					told += max(1, int(e.Count))
				}
			}
			return told == i+1
		})
	}
	w.serving("team")
	w.publish(demo(t, "1.3.0"))
	w.waitReleased(hr, 4)
	w.WaitGone(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app"}})
	if n := len(hr.Status.Inventory.Entries); n != 1 {
		t.Errorf("the inventory is %v; want the ConfigMap only", hr.Status.Inventory.Entries)
	}
}

// TestIdentityOfAClusterTakesItsGate: a ConfigMap must not choose a ServiceAccount unless
// whoever runs the controller lets it.
func TestIdentityOfAClusterTakesItsGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account("team")
	w.clusterConfig("cluster", "team")
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", inClusterOf("cluster"))
	c := w.WaitCondition(hr, helmv2.ConditionStalled, metav1.ConditionTrue, helmv2.ReasonFeatureGateDisabled)
	if !strings.Contains(c.Message, "ObjectLevelWorkloadIdentity") {
		t.Errorf("Stalled says %q; want it to name the gate", c.Message)
	}
	if len(w.stored("app")) > 0 {
		t.Error("it is released all the same")
	}
}

// TestKubeconfigThatDoesNotWork is told without what it holds.
func TestKubeconfigThatDoesNotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	secret := func(name string, data map[string][]byte) {
		w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data})
	}
	secret("empty", nil)
	secret("garbage", map[string][]byte{"value": []byte("no kubeconfig: [s3cret")})
	secret("file", map[string][]byte{"value": []byte(`{apiVersion: v1, kind: Config, users: [{name: u, user: {tokenFile: /etc/passwd}}]}`)})
	for name, want := range map[string]string{
		"empty": "does not contain a 'value' key", "garbage": "kubeconfig cannot be read", "file": `user "u" names a file`,
	} {
		hr := w.release(name, func(s *helmv2.HelmReleaseSpec) {
			s.KubeConfig = &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: name}}
		})
		c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRESTClientError)
		if !strings.Contains(c.Message, want) || strings.Contains(c.Message, "s3cret") || !strings.Contains(c.Message, name) {
			t.Errorf("%s: Ready says %q; want it to say %q", name, c.Message, want)
		}
		if len(w.stored(name)) > 0 || w.Get(w.configMap(name)) {
			t.Errorf("%s is released in this cluster", name)
		}
	}
}
