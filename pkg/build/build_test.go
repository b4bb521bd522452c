package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/manifest"
)

// buildCase is a file in testdata/cases: a tree, the spec to build it by, and what that makes.
type buildCase struct {
	why  string
	src  *memory
	spec Spec
	want string
}

func buildCases(t *testing.T) map[string]buildCase {
	t.Helper()
	names, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cases := map[string]buildCase{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		why, _, _ := strings.Cut(string(content), "\n-- ")
		c := buildCase{why: why, src: treeOf(string(content))}
		if err := yaml.UnmarshalStrict(c.src.MapFS["spec.yaml"].Data, &c.spec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.want = string(c.src.MapFS["want/objects.yaml"].Data)
		delete(c.src.MapFS, "spec.yaml")
		delete(c.src.MapFS, "want/objects.yaml")
		cases[strings.TrimSuffix(filepath.Base(name), ".txtar")] = c
	}
	return cases
}

func TestRun(t *testing.T) {
	for name, tc := range buildCases(t) {
		t.Run(name, func(t *testing.T) {
			want, err := manifest.Read([]byte(tc.want))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Run(tc.src, tc.spec, nil)
			if err != nil {
				t.Fatalf("Run() = %v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(want, got.Objects); diff != "" {
				t.Errorf("objects (-want +got), %s\n%s", tc.why, diff)
			}
			again, err := Run(tc.src, tc.spec, nil)
			if err != nil || again.Digest != got.Digest {
				t.Errorf("a second build gives %s, %v; the first %s", again.Digest, err, got.Digest)
			}
		})
	}
}
