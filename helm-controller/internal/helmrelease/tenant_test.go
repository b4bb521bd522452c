package helmrelease_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/pkg/tenant"
)

// account creates a ServiceAccount that may do anything with what a demo chart takes.
func (w *world) account(name string) *corev1.ServiceAccount {
	w.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.Create(account)
	w.Create(&rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"*"}}},
	})
	w.Create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.Namespace, Name: name}},
	})
	w.WaitMay(name, "configmaps", true)
	return account
}

func TestTenantDoesWhatItsServiceAccountMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--default-service-account=nobody")
	account := w.account("team")
	as := func(s *helmv2.HelmReleaseSpec) { s.ServiceAccountName = "team" }
	w.publish(stuck(t, "1.0.0"))
	mayNot := w.release("may-not", as, values("k: 'x'"))
	c := w.WaitCondition(mayNot, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	if !strings.Contains(c.Message, tenant.User(w.Namespace, "team")) || !strings.Contains(c.Message, "deployments") {
		t.Errorf("Ready says %q; want it to name the user and what it may not", c.Message)
	}
	w.publish(demo(t, "1.0.0"))
	without := w.release("without")
	w.waitMessage(without, helmv2.ConditionReady, tenant.User(w.Namespace, "nobody"))
	may := w.release("may", as, drift(helmv2.DriftDetectionEnabled))
	w.waitReleased(may, 1)
	cm := w.configMap("may")
	w.Patch(cm, "night-shift", "data: {k: '5'}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })

	// A namespace that is deleted loses its ServiceAccounts first.
	for _, obj := range []client.Object{account, may} {
		if err := w.Client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	w.WaitGone(may)
	w.waitEvent(may, corev1.EventTypeWarning, helmv2.ReasonUninstallFailed, "'"+w.Namespace+"/team'", "the release is left")
	w.expectValue("may", "1")
}

// TestWhoMayNothingCanGo: a ServiceAccount without any rights has stored nothing.
func TestWhoMayNothingCanGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "idle"}}
	if err := w.Client.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.ServiceAccountName = "idle" })
	w.waitMessage(hr, helmv2.ConditionReady, tenant.User(w.Namespace, "idle"))
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
}

// TestNamespaceThatGoesIsNotHeldUp: a hook of the uninstallation cannot be created there.
func TestNamespaceThatGoesIsNotHeldUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace + "-goes"}}
	if err := w.Client.Create(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	w.publish(demo(t, "1.0.0",
		"templates/hook.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-delete}}\n",
		"templates/held.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/held]}\n"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
		s.TargetNamespace, s.Uninstall = target.Name, &helmv2.Uninstall{DisableWait: true}
	})
	w.waitReleased(hr, 1)
	if err := w.Client.Delete(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: target.Name, Name: "held"}}
	w.Patch(held, "test", "metadata: {finalizers: null}")
}

// kubeconfig creates a Secret by which another cluster is reached, which is this one.
func (w *world) kubeconfig(name string) {
	w.t.Helper()
	cfg, err := clientcmd.LoadFromFile(w.Kubeconfig())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := clientcmdapi.FlattenConfig(cfg); err != nil {
		w.t.Fatal(err)
	}
	data, err := clientcmd.Write(*cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"value": data}})
}

func TestReleaseInARemoteCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", drift(helmv2.DriftDetectionEnabled), func(s *helmv2.HelmReleaseSpec) {
		s.KubeConfig = &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: "other"}}
	})
	c := w.WaitCondition(hr, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonRESTClientError)
	if !strings.Contains(c.Message, "Secret '"+w.Namespace+"/other'") {
		t.Errorf("Ready says %q; want it to name the Secret", c.Message)
	}
	w.kubeconfig("other")
	w.waitReleased(hr, 1) // at once
	cm := w.configMap("app")
	w.Patch(cm, "night-shift", "data: {k: '5'}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	w.WaitGone(cm)
}
