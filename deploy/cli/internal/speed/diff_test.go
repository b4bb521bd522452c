package speed_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/deploy/cli/internal/applier"
	"weir.dev/pkg/manifest"
)

// applied is how many objects the Kustomization has.
const applied = 100

const kustomization = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: default}
spec: {interval: 10m, path: ./apps, prune: true, targetNamespace: apps, sourceRef: {kind: GitRepository, name: fleet}}
`

// manifests are objects of four kinds.
func manifests(i int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: app-%[1]d}
data: {greeting: hello, config.yaml: "a: 1\nb: 2\n"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app-%[1]d}
---
apiVersion: v1
kind: Service
metadata: {name: app-%[1]d}
spec: {selector: {app: app-%[1]d}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-%[1]d}
spec:
  replicas: 0
  selector: {matchLabels: {app: app-%[1]d}}
  template:
    metadata: {labels: {app: app-%[1]d}}
    spec:
      containers:
      - name: app
        image: registry.example.com/app:1.0.0
        ports: [{name: http, containerPort: 8080}]
        resources: {limits: {memory: 64Mi}, requests: {cpu: 10m}}
`, i)
}

// testDiff: `diff ks` of what is unchanged, beside kubectl, and beside the same dry runs one
// after the other.
func testDiff(t *testing.T, p *plane) {
	ctx := t.Context()
	if err := p.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}}); err != nil {
		t.Fatal(err)
	}
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "apps.yaml")
	write(t, file, kustomization)
	for i := range applied / 4 {
		write(t, filepath.Join(dir, fmt.Sprintf("app-%d.yaml", i)), manifests(i))
	}
	call := func(verb, flag string) []string {
		return []string{verb, "ks", "apps", "-n", "default", "--path", dir, "--kustomization-file", file, flag}
	}
	built := p.weir(t, call("build", "--dry-run")...)
	objs, err := manifest.Read([]byte(built.out))
	if err != nil || len(objs) != applied {
		t.Fatalf("built %d objects, %v: %s", len(objs), err, built.said)
	}
	requests := p.requests(t, objs, applier.Manager)
	if err := p.dryRuns(ctx, requests, ""); err != nil { // no dry runs yet
		t.Fatal(err)
	}

	diff := call("diff", "--ignore-not-found")
	if first := p.weir(t, diff...); first.code != 0 || first.out != "" {
		t.Fatalf("ended with %d, printed %s and said %s", first.code, first.out, first.said)
	}
	again := p.weir(t, diff...)
	if again.requests[http.MethodPatch] != applied || again.requests[http.MethodGet] > applied+5 {
		t.Errorf("asked %v, want a look and a dry run for each of %d objects", again.requests, applied)
	}
	if *rounds == 1 {
		return
	}
	floor := measure(t, func() error { return p.dryRuns(ctx, requests, "&dryRun=All") })
	stop := profile(t, "diff")
	verb := measure(t, func() error { p.weir(t, diff...); return nil })
	stop()
	lines := []string{line("a look and a dry run each, one after the other", floor), line("weir diff ks", verb)}
	if kubectl, err := exec.LookPath("kubectl"); err == nil {
		whole := filepath.Join(t.TempDir(), "all.yaml")
		write(t, whole, built.out)
		took := measure(t, func() error {
			cmd := exec.CommandContext(ctx, kubectl, "diff", "--server-side", "--force-conflicts", "--field-manager", applier.Manager, "--kubeconfig", p.Kubeconfig, "--cache-dir", p.cache, "-f", whole)
			if text, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("kubectl diff: %w: %.500s", err, text)
			}
			return nil
		})
		lines = append(lines, fmt.Sprintf("%-56s %8.3f s  (a process of its own)", "kubectl diff --server-side", took.time.Seconds()))
	}
	report(t, fmt.Sprintf("weir diff ks, %d objects, unchanged", applied), lines...)
}

// request is what asks the API server for one object.
type request struct {
	path string
	data []byte
}

// requests returns those of objects.
func (p *plane) requests(t *testing.T, objs []*unstructured.Unstructured, manager string) []request {
	t.Helper()
	plural := map[string]string{"ConfigMap": "configmaps", "ServiceAccount": "serviceaccounts", "Service": "services", "Deployment": "deployments"}
	var out []request
	for _, obj := range objs {
		data, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		root := "/api/v1"
		if gv := obj.GroupVersionKind().GroupVersion(); gv != (schema.GroupVersion{Version: "v1"}) {
			root = "/apis/" + gv.String()
		}
		out = append(out, request{
			path: fmt.Sprintf("%s/namespaces/%s/%s/%s?fieldManager=%s&force=true", root, obj.GetNamespace(), plural[obj.GetKind()], obj.GetName(), manager),
			data: data,
		})
	}
	return out
}

// dryRuns looks at objects and applies them, one after the other: by dry runs, if more says so.
func (p *plane) dryRuns(ctx context.Context, all []request, more string) error {
	for _, r := range all {
		path, _, _ := strings.Cut(r.path, "?")
		if more != "" {
			if _, err := p.do(ctx, http.MethodGet, path, "", nil); err != nil {
				return err
			}
		}
		if _, err := p.do(ctx, http.MethodPatch, r.path+more, "application/apply-patch+yaml", r.data); err != nil {
			return err
		}
	}
	return nil
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
