package render

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestIgnore(t *testing.T) {
	t.Parallel()
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
	files := map[string]string{".git/HEAD": ""}
	for _, file := range []string{"listed/a.yaml", "listed/sub/b.yaml", "listed/sub/c.enc.yaml", "named/a.yaml", "named/b.yaml", "base/b.yaml", "base/c.enc.yaml"} {
		files[file] = fmt.Sprintf(object, strings.NewReplacer("/", "-", ".yaml", "").Replace(file))
	}
	files["named/kustomization.yaml"] = "resources: [a.yaml, ./b.yaml, ../base]\nconfigMapGenerator: [{name: generated, files: [a.yaml], options: {disableNameSuffixHash: true}}]\n"
	files["base/kustomization.yaml"] = "resources: [b.yaml, c.enc.yaml]\n"
	dir := t.TempDir()
	write(t, dir, files)
	tests := map[string]struct {
		why, path string
		ignore    []string
		want      []string
	}{
		"all":             {path: "listed", want: []string{"listed-a", "listed-sub-b", "listed-sub-c.enc"}},
		"by name":         {path: "listed", ignore: []string{"*.enc.yaml"}, want: []string{"listed-a", "listed-sub-b"}},
		"a folder":        {path: "listed", ignore: []string{"sub/"}, want: []string{"listed-a"}},
		"from the folder": {why: "a pattern with a slash is relative to what is built", path: "listed", ignore: []string{"/b.yaml", "/sub/b.yaml"}, want: []string{"listed-a", "listed-sub-c.enc"}},
		"brought back":    {why: "the last pattern counts", path: "listed", ignore: []string{"*.yaml", "!a.yaml"}, want: []string{"listed-a"}},
		"of files that say what they have": {
			why: "as those of a base do, and what a generator reads is there still", path: "named", ignore: []string{"*.enc.yaml", "/a.yaml"},
			want: []string{"base-b", "generated", "named-b"},
		},
		"a base": {why: "it is outside of the folder, so patterns cannot name it", path: "named", ignore: []string{"base"}, want: []string{"base-b", "base-c.enc", "generated", "named-a", "named-b"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objs, err := Build(&kustomizev1.Kustomization{}, filepath.Join(dir, tc.path), Options{Ignore: tc.ignore})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, obj := range objs {
				got = append(got, obj.GetName())
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (%s)", diff, tc.why)
			}
		})
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
