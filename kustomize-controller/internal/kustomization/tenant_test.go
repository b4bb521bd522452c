package kustomization_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/tenant"
)

// account creates a ServiceAccount that may do anything with ConfigMaps of the test's
// namespace.
func (w *world) account(name string) *corev1.ServiceAccount {
	w.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.Create(account)
	w.Create(&rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}}},
	})
	w.Create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.Namespace, Name: name}},
	})
	w.WaitMay(name, "configmaps", true)
	return account
}

func as(name string) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) { s.ServiceAccountName = name }
}

func TestTenantDoesWhatItsServiceAccountMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account("team")
	w.publish(map[string]string{
		"may/a.yaml":    configMapYAML("a", "k", "1"),
		"maynot/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: NS}\n",
	})
	may, mayNot := w.kustomization("may", "may", as("team")), w.kustomization("may-not", "maynot", as("team"))
	w.WaitReady(may)
	w.WaitCondition(mayNot, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonReconciliationFailed)
	message := readyMessage(mayNot)
	for _, part := range []string{"Secret/" + w.Namespace + "/s", tenant.User(w.Namespace, "team")} {
		if !strings.Contains(message, part) {
			t.Errorf("Ready says %q; want it to name %s", message, part)
		}
	}
	if w.Get(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "s"}}) {
		t.Error("the Secret was created, which the ServiceAccount may not do")
	}

	// Drift is noticed although the ServiceAccount may not watch all namespaces.
	cm := w.configMap("a")
	w.Patch(cm, "night-shift", "data: {k: '5'}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
}

func readyMessage(ks *kustomizev1.Kustomization) string {
	for _, c := range ks.Status.Conditions {
		if c.Type == kustomizev1.ConditionReady {
			return c.Message
		}
	}
	return ""
}

func TestDefaultServiceAccountIsForThoseThatNameNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--default-service-account=nobody")
	w.account("team")
	w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	without := w.kustomization("without", "")
	w.WaitCondition(without, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonReconciliationFailed)
	if want := tenant.User(w.Namespace, "nobody"); !strings.Contains(readyMessage(without), want) {
		t.Errorf("Ready says %q; want it to name %s", readyMessage(without), want)
	}
	w.WaitReady(w.kustomization("with", "", as("team")))
}

// TestTenantWithoutServiceAccountGoes: a namespace that is deleted loses its
// ServiceAccounts before its Kustomizations.
func TestTenantWithoutServiceAccountGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := w.account("team")
	ks := w.kustomization("app", "", as("team"))
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	for _, obj := range []client.Object{account, ks} {
		if err := w.Client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	w.WaitGone(ks)
	w.waitEvent(ks, corev1.EventTypeWarning, kustomizev1.ReasonPruneFailed, "'"+w.Namespace+"/team'", "1 objects are left")
	if !w.Get(w.configMap("a")) {
		t.Error("the ConfigMap was deleted, as nobody whom that was allowed to")
	}
}

// kubeconfig creates a Secret by which another cluster is reached, which is this one.
func (w *world) kubeconfig(name string, data []byte) *corev1.Secret {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"value": data}}
	w.Create(secret)
	return secret
}

func (w *world) adminKubeconfig() []byte {
	w.t.Helper()
	cfg, err := clientcmd.LoadFromFile(w.Kubeconfig())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range cfg.Clusters {
		c.CertificateAuthorityData, c.CertificateAuthority = inline(w.t, c.CertificateAuthorityData, c.CertificateAuthority), ""
	}
	for _, u := range cfg.AuthInfos {
		u.ClientCertificateData, u.ClientCertificate = inline(w.t, u.ClientCertificateData, u.ClientCertificate), ""
		u.ClientKeyData, u.ClientKey = inline(w.t, u.ClientKeyData, u.ClientKey), ""
	}
	data, err := clientcmd.Write(*cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

// inline returns data, or what is in a file if that is named.
func inline(t *testing.T, data []byte, file string) []byte {
	t.Helper()
	if file == "" {
		return data
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func in(secret string) func(*kustomizev1.KustomizationSpec) {
	return func(s *kustomizev1.KustomizationSpec) {
		s.KubeConfig = &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: secret}}
	}
}

func TestRemoteClusterIsAppliedToAndWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.adminKubeconfig()
	secret := w.kubeconfig("other", admin)
	ks := w.kustomization("app", "", in("other"))
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1"), "b.yaml": configMapYAML("b", "k", "1")}))
	cm := w.configMap("a")
	w.Patch(cm, "night-shift", "data: {k: '5'}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })
	w.waitEvent(ks, corev1.EventTypeNormal, kustomizev1.ReasonDriftCorrected, "night-shift")

	// Its credentials rotate: nothing is applied again.
	version := cm.ResourceVersion
	secret.Data["value"] = append([]byte("# rotated\n"), admin...)
	if err := w.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.Poke(ks)
	w.WaitHandled(ks)
	w.Get(cm)
	if cm.ResourceVersion != version {
		t.Errorf("the ConfigMap was written at %s and %s; want the rotation to write nothing", version, cm.ResourceVersion)
	}
	w.Patch(cm, "night-shift", "data: {k: '6'}")
	w.Wait("the value is put back", cm, func() bool { return cm.Data["k"] == "1" })

	if err := w.Client.Delete(t.Context(), ks); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(ks)
	w.WaitGone(cm)
}

func TestKubeconfigThatDoesNotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")})
	w.kubeconfig("garbage", []byte("no kubeconfig: [s3cret"))
	w.kubeconfig("file", []byte(`{apiVersion: v1, kind: Config, users: [{name: u, user: {tokenFile: /etc/passwd}}]}`))
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "empty"}})
	for name, want := range map[string]string{
		"missing": `secrets "missing" not found`,
		"empty":   "does not contain a 'value' key",
		"garbage": "kubeconfig cannot be read",
		"file":    `user "u" names a file`,
	} {
		ks := w.kustomization(name, "", in(name))
		w.WaitCondition(ks, kustomizev1.ConditionReady, metav1.ConditionFalse, kustomizev1.ReasonReconciliationFailed)
		if message := readyMessage(ks); !strings.Contains(message, want) || strings.Contains(message, "s3cret") || !strings.Contains(message, name) {
			t.Errorf("%s: Ready says %q; want it to say %q", name, message, want)
		}
	}
	// What was missing comes: nobody waits for the interval of an hour.
	w.kubeconfig("missing", w.adminKubeconfig())
	ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "missing"}}
	w.WaitReady(ks)
}

// TestClusterByConfigMap gets tokens of a ServiceAccount for another cluster, which
// trusts those of this one since it is the same.
func TestClusterByConfigMap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--feature-gates=ObjectLevelWorkloadIdentity=true")
	w.account("team")
	cfg := w.Config()
	ca := string(cfg.CAData)
	if ca == "" {
		ca = string(inline(t, nil, cfg.CAFile))
	}
	w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}, Data: map[string]string{
		"provider": "generic", "address": cfg.Host, "ca.crt": ca, "serviceAccountName": "team", "audiences": w.audience(),
	}})
	ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) {
		s.KubeConfig = &meta.KubeConfigReference{ConfigMapRef: &meta.LocalObjectReference{Name: "cluster"}}
	})
	w.waitApplied(ks, w.publish(map[string]string{"a.yaml": configMapYAML("a", "k", "1")}))
	if !w.Get(w.configMap("a")) {
		t.Error("the ConfigMap is not there")
	}
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
