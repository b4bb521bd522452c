package definitions

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
)

// A chart has the same definitions in each of its releases, so they are read once.
func TestFilesAreReadOnce(t *testing.T) {
	t.Parallel()
	m := memory{files: make(map[[sha256.Size]byte]contents)}
	look := func(text string) (contents, bool) {
		t.Helper()
		f := &file{CRD: chart.CRD{File: &chart.File{Data: []byte(text)}}}
		c, err := m.look(f)
		if err != nil {
			t.Fatal(err)
		}
		return c, f.objects != nil
	}
	const text = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}}\n---\nno: object\n"
	first, read := look(text)
	if !read || len(first.definitions) != 1 || len(first.others) != 1 {
		t.Errorf("it has %v, read %v", first, read)
	}
	again, read := look(text)
	if diff := cmp.Diff(first, again, cmp.AllowUnexported(contents{}, definition{})); diff != "" || read {
		t.Errorf("read %v; -first +again\n%s", read, diff)
	}
	if _, read := look(text + "---\n{apiVersion: v1, kind: Secret, metadata: {name: s}}\n"); !read {
		t.Error("another file was not read")
	}
	for i := range maxSeen + 10 {
		look(fmt.Sprintf("# %d", i))
	}
	if len(m.files) > maxSeen {
		t.Errorf("%d files are remembered", len(m.files))
	}
	if _, err := m.look(&file{CRD: chart.CRD{File: &chart.File{Data: []byte("a: b: c")}}}); err == nil {
		t.Error("a broken file is fine")
	}
}
