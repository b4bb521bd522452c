package gitrepository_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/gitserver"
)

// TestDamagedObjectsAreFetchedAnew: they are a cache, which a disk can lose or spoil.
func TestDamagedObjectsAreFetchedAnew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ spoil func(pack string) error }{
		"all gone":        {spoil: func(pack string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(pack))) }},
		"a pack gone":     {spoil: os.Remove},
		"a pack cut off":  {spoil: func(pack string) error { return os.Truncate(pack, 40) }},
		"a pack of zeros": {spoil: func(pack string) error { return os.WriteFile(pack, make([]byte, 1000), 0o600) }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: First\n"), gitserver.File("sub/b.yaml", "kind: B\n"))
			repo := w.source("fleet")
			w.WaitPublished(repo, "main@sha1:"+first)
			for _, pack := range w.packs() {
				if err := tc.spoil(pack); err != nil {
					t.Fatal(err)
				}
			}
			w.Patch(repo, "test", "spec: {ignore: none}") // made of the objects that were here
			w.WaitPublished(repo, "main@sha1:"+first)

			second := w.repo.Commit("main", "second", gitserver.File("app.yaml", "kind: Second\n"))
			w.Poke(repo)
			w.WaitPublished(repo, "main@sha1:"+second)
			want := map[string]string{"app.yaml": "kind: Second\n", "sub/b.yaml": "kind: B\n"}
			if diff := cmp.Diff(want, w.Content(repo)); diff != "" {
				t.Errorf("the artifact has (-want +got):\n%s", diff)
			}
			w.expectHealed(repo)
		})
	}
}

// packs lists the packs of the object stores, of which there must be some.
func (w *world) packs() []string {
	w.t.Helper()
	var packs []string
	err := filepath.WalkDir(filepath.Join(w.Dir, ".git-remotes"), func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".pack" {
			packs = append(packs, path)
		}
		return err
	})
	if err != nil || len(packs) == 0 {
		w.t.Fatalf("packs of the object stores: %v, %v", packs, err)
	}
	return packs
}
