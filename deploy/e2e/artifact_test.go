package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/artifact/serve"
	"weir.dev/pkg/artifact/store"
)

// publisher is a GitRepository whose artifacts the test publishes itself.
type publisher struct {
	*world
	files    *store.Store
	server   *httptest.Server
	repo     *sourcev1.GitRepository
	revision int
}

// newPublisher makes a world with a source.
func newPublisher(t *testing.T) *publisher {
	t.Helper()
	w := newWorld(t)
	files, err := store.Open(store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{world: w, files: files, server: httptest.NewServer(serve.New(files))}
	t.Cleanup(func() {
		p.server.Close()
		if err := files.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	p.repo = &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "source"},
		Spec:       sourcev1.GitRepositorySpec{URL: "http://git.example.com/source", Interval: metav1.Duration{Duration: time.Hour}},
	}
	w.Create(p.repo)
	return p
}

// publish makes files the artifact of the source, as a new revision, which it
// returns.
func (p *publisher) publish(files map[string]string) string {
	p.t.Helper()
	p.revision++
	dir, err := artifact.NewDir(sourcev1.GitRepositoryKind, p.Namespace, p.repo.Name)
	if err != nil {
		p.t.Fatal(err)
	}
	commit := fmt.Sprintf("%040x", p.revision)
	path, err := dir.File(commit + ".tar.gz")
	if err != nil {
		p.t.Fatal(err)
	}
	stored, err := p.files.Put(path, func(out io.Writer) error { return pack(out, files) })
	if err != nil {
		p.t.Fatal(err)
	}
	revision := "main@sha1:" + commit
	p.Get(p.repo)
	p.repo.Status.Artifact = &meta.Artifact{
		Path: path.String(), URL: path.URL(p.server.URL), Revision: revision,
		Digest: stored.Digest.String(), Size: &stored.Size, LastUpdateTime: metav1.Now(),
	}
	if err := p.Client.Status().Update(p.t.Context(), p.repo); err != nil {
		p.t.Fatal(err)
	}
	return revision
}

func pack(out io.Writer, files map[string]string) error {
	a := archive.NewWriter(out, archive.Limits{})
	for _, path := range slices.SortedFunc(maps.Keys(files), archive.Compare) {
		content := files[path]
		if err := a.File(path, false, int64(len(content)), strings.NewReader(content)); err != nil {
			return err
		}
	}
	return a.Close()
}
