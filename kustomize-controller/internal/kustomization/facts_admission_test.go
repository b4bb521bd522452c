package kustomization_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/kustomize-controller/internal/program"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/testplane"
)

// TestWebhookChangesWhatWeSend: whatever a webhook makes of it, an object that was applied
// is not applied again, by this process or, with any effect, by the next.
func TestWebhookChangesWhatWeSend(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		patch string // JSON, of a ConfigMap
		want  map[string]string
	}{
		"by another value": {
			why: "it is ours, and we would take it back for ever", patch: `[{"op":"replace","path":"/data/k","value":"webhook"}]`,
			want: map[string]string{"k": "webhook", "other": "1"},
		},
		"by one field less": {
			why: "it is missing each time", patch: `[{"op":"remove","path":"/data/other"}]`,
			want: map[string]string{"k": "1"},
		},
		"by one field more": {
			why: "it is not ours", patch: `[{"op":"add","path":"/data/more","value":"webhook"}]`,
			want: map[string]string{"k": "1", "other": "1", "more": "webhook"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := prepareWorld(t)
			calls := w.mutate(tc.patch)
			stop := w.Run("kustomize-controller", program.Run)
			ks := w.kustomization("app", "", func(s *kustomizev1.KustomizationSpec) { s.Interval = metav1.Duration{Duration: 500 * time.Millisecond} })
			source := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: NS}\ndata: {k: '1', other: '1'}\n"
			w.waitApplied(ks, w.publish(map[string]string{"a.yaml": source}))
			w.settle()
			cm := w.configMap("a")
			w.Get(cm)
			if fmt.Sprint(cm.Data) != fmt.Sprint(tc.want) || calls.Load() == 0 {
				t.Fatalf("the object is %v after %d calls of the webhook; want %v", cm.Data, calls.Load(), tc.want)
			}
			version := cm.ResourceVersion

			w.Traffic.Forbid(testplane.Any)
			w.pass(4 * 500 * time.Millisecond) // three intervals and some
			stop()
			w.Traffic.Forbid(testplane.Writes("kustomizations"))
			w.Traffic.Reset()
			w.Run("kustomize-controller", program.Run)
			w.Eventually("the object is applied by the new process", func() bool { return w.Traffic.Count(testplane.Writes("configmaps")) > 0 })
			w.settle()
			if n := w.Traffic.Count(testplane.Writes("configmaps")); n != 1 {
				t.Errorf("the new process wrote %d times; want once: %s", n, tc.why)
			}
			if w.Get(cm); cm.ResourceVersion != version {
				t.Errorf("the object went from version %s to %s: %v", version, cm.ResourceVersion, cm.Data)
			}
			for _, e := range w.events(ks) {
				if e.Reason == kustomizev1.ReasonDriftCorrected || e.Reason == kustomizev1.ReasonDriftContested || strings.Contains(e.Message, "configured") {
					t.Errorf("an event says %q; nothing has drifted", e.Message)
				}
			}
		})
	}
}

// mutate lets a webhook patch every ConfigMap of ours in the namespace of the test, and
// counts its calls.
func (w *world) mutate(patch string) *atomic.Int64 {
	w.t.Helper()
	var calls atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<20)).Decode(&review); err != nil || review.Request == nil {
			http.Error(rw, "no review", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: []byte(patch), PatchType: ptr.To(admissionv1.PatchTypeJSONPatch),
		}
		if err := json.NewEncoder(rw).Encode(review); err != nil {
			w.t.Errorf("answering a review: %v", err)
		}
	}))
	w.t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	hook := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.Namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:         "mutate.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: ptr.To(server.URL), CABundle: authority},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.Namespace}},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{kustomizev1.LabelName: "app"}},
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy:           ptr.To(admissionregistrationv1.Fail),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	w.Create(hook)
	w.t.Cleanup(func() {
		if err := w.Client.Delete(context.WithoutCancel(w.t.Context()), hook); err != nil {
			w.t.Errorf("deleting the webhook: %v", err)
		}
	})
	// The API server learns of it a little later.
	probe := w.configMap("probe")
	probe.Labels = map[string]string{kustomizev1.LabelName: "app"}
	probe.Data = map[string]string{"k": "1", "other": "1"}
	w.Eventually("the webhook is called", func() bool {
		copied := probe.DeepCopy()
		copied.Name, copied.GenerateName = "", "probe-"
		w.Create(copied)
		return calls.Load() > 0
	})
	return &calls
}

// TestDefaultsAreNoDrift: the API server adds fields to what was sent. Neither an interval
// nor a new process writes for that.
func TestDefaultsAreNoDrift(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	group := strings.NewReplacer("GROUP", w.Namespace+".example.com")
	w.t.Cleanup(func() { w.removeCRD(group.Replace("gadgets.GROUP")) })
	stop := w.Run("kustomize-controller", program.Run)
	ks := w.kustomization("app", "", waiting, func(s *kustomizev1.KustomizationSpec) { s.Interval = metav1.Duration{Duration: 500 * time.Millisecond} })
	w.waitApplied(ks, w.publish(map[string]string{
		"crd.yaml":     group.Replace(gadgetCRD),
		"gadget.yaml":  group.Replace(gadgetYAML),
		"web.yaml":     deploymentYAML("web", ""),
		"service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: NS}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
		"stateful.yaml": `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NS}
spec:
  replicas: 0
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: main, image: "registry.example.com/db:1", resources: {requests: {cpu: 0.5, memory: 1024Mi}}}]
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
`,
		"job.yaml": `apiVersion: batch/v1
kind: CronJob
metadata: {name: yearly, namespace: NS}
spec:
  schedule: "0 3 31 12 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example.com/job:1"}]}}}}
`,
		"policy.yaml":  "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: NS}\nspec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}\n",
		"secret.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: NS}\nstringData: {password: x}\n",
		"account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: NS}\n",
	}))
	w.settle()
	versions := w.ownedVersions(ks)

	w.Traffic.Forbid(testplane.Any)
	w.pass(4 * 500 * time.Millisecond) // three intervals and some
	stop()
	w.Traffic.Forbid(testplane.Writes("kustomizations"))
	w.Traffic.Reset()
	w.Run("kustomize-controller", program.Run)
	w.Eventually("all is applied by the new process", func() bool { return w.Traffic.Count(testplane.Writes()) >= len(versions) })
	w.settle()
	for id, now := range w.ownedVersions(ks) {
		if versions[id] != now {
			t.Errorf("%s went from version %s to %s", id, versions[id], now)
		}
	}
}

// ownedVersions returns the resource versions of the objects in the inventory.
func (w *world) ownedVersions(ks *kustomizev1.Kustomization) map[string]string {
	w.t.Helper()
	w.Get(ks)
	all, err := inventory.Decode(ks.Status.Inventory.Entries)
	if err != nil {
		w.t.Fatal(err)
	}
	versions := make(map[string]string)
	for id, version := range all {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(id.GroupKind().WithVersion(version))
		u.SetNamespace(id.Namespace)
		u.SetName(id.Name)
		if !w.Get(u) {
			w.t.Errorf("%s is in the inventory, but not there", id)
			continue
		}
		versions[id.String()] = u.GetResourceVersion()
	}
	return versions
}
