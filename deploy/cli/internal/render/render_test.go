package render

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
)

// write makes files below a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBasesBesideTheFolder: what is beside the folder belongs to the source, too, but not
// what is outside of the work tree.
func TestBasesBesideTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"outside.yaml":                 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: outside}\n",
		"tree/.git/HEAD":               "ref: refs/heads/main\n",
		"tree/base/kustomization.yaml": "resources: [map.yaml]\n",
		"tree/base/map.yaml":           "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\n",
		"tree/apps/kustomization.yaml": "resources: [../base]\nnamePrefix: my-\n",
		"tree/bad/kustomization.yaml":  "resources: [../../outside.yaml]\n",
	})
	ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Name: "apps", Namespace: "shop"}, Spec: kustomizev1.KustomizationSpec{Path: "./elsewhere"}}
	objs, err := Build(ks, filepath.Join(dir, "tree", "apps"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(objs) != 1 || objs[0].GetName() != "my-base" || objs[0].GetLabels()[kustomizev1.LabelName] != "apps" {
		t.Errorf("built %v, want my-base of apps", objs)
	}
	if _, err := Build(ks, filepath.Join(dir, "tree", "bad"), Options{}); err == nil || !strings.Contains(err.Error(), "outside.yaml") {
		t.Errorf("the error is %v, want one that names what is outside of the tree", err)
	}
}

// TestLinksStayInside: a link that leaves the tree is not followed.
func TestLinksStayInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"secret.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "tree/.git/HEAD": "", "tree/apps/a.txt": ""})
	if err := os.Symlink(filepath.Join(dir, "secret.yaml"), filepath.Join(dir, "tree", "apps", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	objs, err := Build(&kustomizev1.Kustomization{}, filepath.Join(dir, "tree", "apps"), Options{})
	if err == nil && len(objs) > 0 {
		t.Errorf("built %v through a link that leaves the tree", objs)
	}
}
