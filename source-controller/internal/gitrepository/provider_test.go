package gitrepository_test

import (
	"testing"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// TestProviderGenericIsWhatWorks: it is what an empty provider means.
func TestProviderGenericIsWhatWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet", func(s *sourcev1.GitRepositorySpec) { s.Provider = sourcev1.GitProviderGeneric })
	w.WaitPublished(repo, "main@sha1:"+rev)
}
