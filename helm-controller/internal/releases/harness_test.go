package releases

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	helmtime "helm.sh/helm/v3/pkg/time"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
)

// namespace is where the tests store releases.
const namespace = "flux-system"

// vault is Secrets that are not kept anywhere else.
type vault struct {
	*fake.Clientset
	corev1client.SecretInterface
	helm driver.Driver // how Helm sees them
}

func newVault(secrets ...*corev1.Secret) *vault {
	objs := make([]runtime.Object, 0, len(secrets))
	for _, s := range secrets {
		objs = append(objs, s)
	}
	cs := fake.NewClientset(objs...)
	var last atomic.Int64
	cs.PrependReactor("*", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		switch a := a.(type) {
		case clienttesting.CreateActionImpl:
			a.Object.(*corev1.Secret).ResourceVersion = strconv.FormatInt(100+last.Add(1), 10)
			return clienttesting.ObjectReaction(cs.Tracker())(a)
		case clienttesting.UpdateActionImpl:
			a.Object.(*corev1.Secret).ResourceVersion = strconv.FormatInt(100+last.Add(1), 10)
			return clienttesting.ObjectReaction(cs.Tracker())(a)
		}
		return false, nil, nil
	})
	in := cs.CoreV1().Secrets(namespace)
	return &vault{Clientset: cs, SecretInterface: in, helm: driver.NewSecrets(in)}
}

// asked returns how often each verb was used since the last call.
func (v *vault) asked() map[string]int {
	verbs := make(map[string]int)
	for _, a := range v.Actions() {
		verbs[a.GetVerb()]++
	}
	v.ClearActions()
	return verbs
}

// secret returns the Secret of a version.
func (v *vault) secret(t *testing.T, name string, version int) *corev1.Secret {
	t.Helper()
	s, err := v.Get(t.Context(), keyOf(name, version), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// versions returns the numbers of the versions that are stored.
func (v *vault) versions(t *testing.T, name string) []int {
	t.Helper()
	list, err := v.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[int]bool)
	for _, s := range list.Items {
		if of, version, ok := parseKey(s.Name); ok && of == name {
			found[version] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// demo is a release of some chart.
func demo(version int, status release.Status) *release.Release {
	at := helmtime.Date(2026, 11, 23, 20, 40, version, 5000, time.UTC)
	return &release.Release{
		Name: "demo", Namespace: "shop", Version: version,
		Info: &release.Info{FirstDeployed: at, LastDeployed: at, Status: status, Description: "made by a test"},
		Chart: &chart.Chart{
			Metadata:  &chart.Metadata{APIVersion: "v2", Name: "app", Version: "1.2.3", AppVersion: "7"},
			Templates: []*chart.File{{Name: "templates/a.yaml", Data: []byte("a: {{ .Values.a }}\n")}},
			Values:    map[string]any{"a": "b"},
		},
		Config:   map[string]any{"a": "c"},
		Manifest: "---\n# Source: app/templates/a.yaml\na: c\n",
		Hooks: []*release.Hook{
			{Name: "demo-pre", Kind: "Job", Path: "app/templates/pre.yaml", Manifest: "a: b", Events: []release.HookEvent{release.HookPreInstall}},
			{Name: "demo-test", Kind: "Pod", Path: "app/templates/test.yaml", Manifest: "a: b", Events: []release.HookEvent{release.HookTest}},
		},
	}
}

// holding is a Secret of a version of the release demo that holds any data.
func holding(version int, status release.Status, data []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: keyOf("demo", version), Namespace: namespace,
			Labels: map[string]string{"name": "demo", "owner": "helm", "status": string(status), "version": strconv.Itoa(version), "createdAt": "1795466454"},
		},
		Type: secretType,
		Data: map[string][]byte{dataKey: data},
	}
}

// stored is a Secret of a release.
func stored(t *testing.T, rel *release.Release) *corev1.Secret {
	t.Helper()
	data, _, err := encode(rel, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return holding(rel.Version, rel.Info.Status, data)
}

// text is a release as JSON.
func text(t *testing.T, rel *release.Release) string {
	t.Helper()
	js, err := json.MarshalIndent(rel, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(js)
}

// create stores a release by our driver.
func create(t *testing.T, d driver.Driver, rel *release.Release) {
	t.Helper()
	if err := d.Create(keyOf(rel.Name, rel.Version), rel); err != nil {
		t.Fatal(err)
	}
}

// update stores a release anew by our driver.
func update(t *testing.T, d driver.Driver, rel *release.Release) {
	t.Helper()
	if err := d.Update(keyOf(rel.Name, rel.Version), rel); err != nil {
		t.Fatal(err)
	}
}

// compact is JSON without white space.
func compact(js []byte) []byte {
	var out bytes.Buffer
	if err := json.Compact(&out, js); err != nil {
		return js
	}
	return out.Bytes()
}

// secretsResource is the resource of Secrets.
func secretsResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
}
