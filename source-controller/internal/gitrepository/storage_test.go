package gitrepository_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/sourcetest"
)

func TestLostArtifactIsMadeAnew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		spoil   func(t *testing.T, file string)
		altered bool // the file is there, with other bytes
	}{
		"deleted": {why: "a volume was cleaned", spoil: func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}},
		"its folder deleted": {why: "a volume was cleaned", spoil: func(t *testing.T, file string) {
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		}},
		"altered": {why: "the size is the same", altered: true, spoil: func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 0xff
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"cut off": {why: "a disk was full", altered: true, spoil: func(t *testing.T, file string) {
			if err := os.Truncate(file, 20); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
			repo := w.source("fleet")
			w.WaitPublished(repo, "main@sha1:"+rev)
			want := repo.Status.Artifact.Digest

			w.git.Counter.Reset()
			tc.spoil(t, w.File(repo))
			w.Again(repo)
			w.WaitPublished(repo, "main@sha1:"+rev) // which downloads it
			if got := repo.Status.Artifact.Digest; got != want {
				t.Errorf("the digest is %s; want %s again (%s)", got, want, tc.why)
			}
			if diff := cmp.Diff(requests{Advertisements: 1}, requestsOf(w.git.Counter.Counts())); diff != "" {
				t.Errorf("that cost (-want +got):\n%s", diff)
			}
			if tc.altered {
				w.WaitEvent(repo, corev1.EventTypeWarning, sourcev1.ReasonArtifactVerificationFailed, repo.Status.Artifact.Path)
			}
		})
	}
}

// TestLostArtifactIsNotAdvertised: while it cannot be made anew, there is none.
func TestLostArtifactIsNotAdvertised(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		hinder func(w *world, repo *sourcev1.GitRepository)
		reason string
	}{
		"the remote fails": {
			why: "there is nothing to make it of", reason: sourcev1.ReasonGitOperationFailed,
			hinder: func(w *world, _ *sourcev1.GitRepository) { w.git.Faults.Set(gitserver.Status(500)) },
		},
		"the spec cannot be carried out": {
			why: "nobody would look at it again", reason: sourcev1.ReasonInvalidProviderConfiguration,
			hinder: func(w *world, repo *sourcev1.GitRepository) {
				w.Patch(repo, "test", "spec: {provider: github}")
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
			repo := w.source("fleet")
			w.WaitPublished(repo, "main@sha1:"+rev)
			if err := os.Remove(w.File(repo)); err != nil {
				t.Fatal(err)
			}
			tc.hinder(w, repo)
			w.Again(repo)
			w.WaitCondition(repo, sourcev1.ConditionReady, "False", tc.reason)
			if repo.Status.Artifact != nil {
				t.Errorf("the artifact is %+v; want none (%s)", repo.Status.Artifact, tc.why)
			}
			for _, c := range repo.Status.Conditions {
				if c.Type == sourcev1.ConditionArtifactInStorage {
					t.Errorf("ArtifactInStorage is %s; want it gone", c.Status)
				}
			}
			w.git.Faults.Set(nil)
			w.Patch(repo, "test", "spec: {provider: null}")
			w.WaitPublished(repo, "main@sha1:"+rev)
			w.expectHealed(repo)
		})
	}
}

// TestRestartPublishesNothingAnew: what was published is looked at, and left alone.
func TestRestartPublishesNothingAnew(t *testing.T) {
	t.Parallel()
	const address = "--storage-adv-addr=artifacts.example.com"
	w := prepareWorld(t)
	w.Start(address)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet")
	w.WaitReady(repo)
	w.Eventually("the event", func() bool { return len(w.Events(repo)) > 0 })
	if want := "http://artifacts.example.com/" + repo.Status.Artifact.Path; repo.Status.Artifact.URL != want {
		t.Errorf("the URL is %q; want %q", repo.Status.Artifact.URL, want)
	}
	before, info := repo.DeepCopy(), w.stat(repo)
	w.Stop()

	w.git.Counter.Reset()
	w.Traffic.Forbid(testplane.Writes())
	w.Start(address)
	w.Eventually("the remote is asked", func() bool { return w.git.Counter.Counts().Advertisements > 0 })
	w.Settle()
	w.Get(repo)
	if diff := cmp.Diff(before, repo); diff != "" {
		t.Errorf("the object changed (-before +after):\n%s", diff)
	}
	if after := w.stat(repo); !os.SameFile(info, after) || !after.ModTime().Equal(info.ModTime()) {
		t.Error("the file was written again")
	}
	if diff := cmp.Diff(requests{Advertisements: 1}, requestsOf(w.git.Counter.Counts())); diff != "" {
		t.Errorf("a restart costs (-want +got):\n%s", diff)
	}
	if repo.Status.Artifact.Revision != "main@sha1:"+rev {
		t.Errorf("the revision is %q", repo.Status.Artifact.Revision)
	}
}

func (w *world) stat(repo *sourcev1.GitRepository) os.FileInfo {
	w.t.Helper()
	info, err := os.Stat(w.File(repo))
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

// TestOtherAddressIsToldAtOnce: consumers cannot find the artifact otherwise, even
// while the remote is away.
func TestOtherAddressIsToldAtOnce(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	w.Start("--storage-adv-addr=one.example.com")
	w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet")
	w.WaitReady(repo)
	old, info := repo.Status.Artifact.DeepCopy(), w.stat(repo)
	w.git.Faults.Set(gitserver.Status(500))
	w.Restart("--storage-adv-addr=https://two.example.com/artifacts/")
	want := "https://two.example.com/artifacts/" + old.Path
	w.Wait("the URL "+want, repo, func() bool { return repo.Status.Artifact != nil && repo.Status.Artifact.URL == want })
	old.URL = want
	if diff := cmp.Diff(old, repo.Status.Artifact); diff != "" {
		t.Errorf("the artifact changed in more than its URL (-want +got):\n%s", diff)
	}
	if !os.SameFile(info, w.stat(repo)) {
		t.Error("the file was written again")
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		flags []string
		age   time.Duration // of the superseded artifacts
		kept  int           // superseded ones, the newest
	}{
		"two by default":      {why: "a consumer may be at the one before", flags: []string{"--artifact-retention-ttl=1h"}, kept: 1},
		"more by flag":        {flags: []string{"--artifact-retention-ttl=1h", "--artifact-retention-records=3"}, kept: 2},
		"the advertised only": {flags: []string{"--artifact-retention-ttl=1h", "--artifact-retention-records=1"}},
		"old ones":            {why: "age counts below the number too", age: 2 * time.Minute},
		"old ones by flag":    {flags: []string{"--artifact-retention-ttl=1h", "--artifact-retention-records=3"}, age: 2 * time.Minute, kept: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.flags...)
			var names []string
			var repo *sourcev1.GitRepository
			for i := range 4 {
				rev := w.repo.Commit("main", "next", gitserver.File("app.yaml", strings.Repeat("x", i)))
				if repo == nil {
					repo = w.source("fleet")
				} else {
					w.Poke(repo)
				}
				w.WaitPublished(repo, "main@sha1:"+rev)
				names = append(names, rev+".tar.gz")
				// The order of files that are made within one tick of the clock is that of
				// their names.
				w.backdate(repo, tc.age+time.Duration(10-i)*time.Second)
			}
			other := w.source("other")
			w.WaitReady(other)
			// What a run supersedes is kept until the next, for consumers under way.
			w.Again(repo)
			w.Again(repo)
			want := slices.Sorted(slices.Values(names[3-tc.kept:]))
			if diff := cmp.Diff(want, w.stored(repo)); diff != "" {
				t.Errorf("the storage has (-want +got):\n%s\n(%s)", diff, tc.why)
			}
			w.Download(repo)
			if got := w.stored(other); len(got) != 1 {
				t.Errorf("another source has %v; want its one artifact left alone", got)
			}
		})
	}
}

// backdate makes the artifact of repo older.
func (w *world) backdate(repo *sourcev1.GitRepository, age time.Duration) {
	w.t.Helper()
	when := time.Now().Add(-age)
	if err := os.Chtimes(w.File(repo), when, when); err != nil {
		w.t.Fatal(err)
	}
}

func TestDeletionRemovesTheArtifacts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(w *world, repo *sourcev1.GitRepository)
	}{
		"published": {prepare: func(*world, *sourcev1.GitRepository) {}},
		"suspended": {prepare: func(w *world, repo *sourcev1.GitRepository) {
			w.Patch(repo, "test", "spec: {suspend: true}")
		}},
		"failing": {prepare: func(w *world, repo *sourcev1.GitRepository) {
			w.git.Faults.Set(gitserver.Status(500))
			w.Again(repo)
		}},
		"stalled": {prepare: func(w *world, repo *sourcev1.GitRepository) {
			w.Patch(repo, "test", "spec: {url: 'http://'}")
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
			repo, other := w.source("fleet"), w.source("fleet-2")
			w.WaitPublished(repo, "main@sha1:"+rev)
			w.WaitPublished(other, "main@sha1:"+rev)
			tc.prepare(w, repo)
			if err := w.Client.Delete(t.Context(), repo); err != nil {
				t.Fatal(err)
			}
			url := repo.Status.Artifact.URL
			w.WaitGone(repo)
			if got := w.stored(repo); len(got) != 0 {
				t.Errorf("the storage still has %v", got)
			}
			res, err := w.Fetch(url)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 404 {
				t.Errorf("GET of the artifact answers %s; want 404", res.Status)
			}
			w.Download(other)
			w.Settle()
			for _, e := range w.Events(repo) {
				if e.Reason == sourcev1.ReasonSucceeded {
					t.Errorf("an event says %q of what is deleted", e.Message)
				}
			}
		})
	}
}

// TestArtifactOfAnotherObject is a status that a user wrote: it must not make the
// controller touch files of others.
func TestArtifactOfAnotherObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--artifact-retention-records=1")
	first := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	victim, repo := w.source("victim"), w.source("fleet")
	w.WaitPublished(victim, "main@sha1:"+first)
	w.WaitPublished(repo, "main@sha1:"+first)
	superseded := filepath.Join(filepath.Dir(w.File(victim)), "superseded.tar.gz")
	if err := os.WriteFile(superseded, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{victim.Status.Artifact.Digest, sourcetest.Digest([]byte("other"))} {
		w.Get(repo)
		repo.Status.Artifact.Path = victim.Status.Artifact.Path
		repo.Status.Artifact.Digest = digest
		if err := w.Client.Status().Update(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
		w.Again(repo)
		if !exists(w.File(victim)) || !exists(superseded) {
			t.Fatal("the files of another object are gone")
		}
		if !strings.HasPrefix(repo.Status.Artifact.Path, "gitrepository/"+w.Namespace+"/fleet/") {
			t.Errorf("the path is %q; want one of the object's own", repo.Status.Artifact.Path)
		}
		w.WaitPublished(repo, "main@sha1:"+first)
	}
}
