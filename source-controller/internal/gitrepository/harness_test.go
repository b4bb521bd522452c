package gitrepository_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/program"
)

// world is a plane with a git server and a source-controller.
type world struct {
	*testplane.Plane
	t    *testing.T
	git  *gitservertest.Server
	repo *gitservertest.Repo // the repository "fleet" of git, which sources follow
	dir  string              // storage of the controller
	log  logbook
	stop func() // ends the controller
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := prepareWorld(t)
	w.start(flags...)
	return w
}

// prepareWorld is newWorld without a controller.
func prepareWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, git: gitservertest.Start(t, gitserver.Options{}), dir: t.TempDir()}
	w.repo = w.git.Repo("fleet")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the controller:\n%s", w.log.String())
		}
	})
	return w
}

// start starts a controller, which repeats what fails soon.
func (w *world) start(flags ...string) {
	w.t.Helper()
	ctrllog.SetLogger(logr.Discard()) // that of libraries which are given none
	flags = append([]string{
		"--storage-path=" + w.dir, "--storage-addr=127.0.0.1:0", "--min-retry-delay=50ms", "--max-retry-delay=500ms",
	}, flags...)
	w.stop = w.Run("source-controller", func(ctx context.Context, d *daemon.Daemon) error {
		d.Log = funcr.New(w.log.add, funcr.Options{Verbosity: 1, LogTimestamp: true})
		return program.Run(ctx, d)
	}, flags...)
}

// restart ends the controller and starts another on the same storage.
func (w *world) restart(flags ...string) {
	w.t.Helper()
	w.stop()
	w.start(flags...)
}

// logbook is what a controller logs.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, prefix, args)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// source creates a GitRepository that follows the branch main of the repository,
// which adjust may change.
func (w *world) source(name string, adjust ...func(*sourcev1.GitRepositorySpec)) *sourcev1.GitRepository {
	w.t.Helper()
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: sourcev1.GitRepositorySpec{
			URL:       w.git.URL("fleet"),
			Interval:  metav1.Duration{Duration: time.Hour},
			Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
		},
	}
	for _, f := range adjust {
		f(&repo.Spec)
	}
	w.Create(repo)
	return repo
}

// secret creates a Secret and returns the reference to it.
func (w *world) secret(name string, data map[string]string) *meta.LocalObjectReference {
	w.t.Helper()
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data})
	return &meta.LocalObjectReference{Name: name}
}

// waitPublished waits until repo is Ready with the revision, and checks that what it
// advertises can be had.
func (w *world) waitPublished(repo *sourcev1.GitRepository, revision string) {
	w.t.Helper()
	w.Wait("revision "+revision, repo, func() bool {
		c := conditions.Get(repo, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == repo.Generation &&
			repo.Status.Artifact != nil && repo.Status.Artifact.Revision == revision
	})
	w.download(repo)
}

// download returns the bytes of the artifact, which must be those of its digest.
func (w *world) download(repo *sourcev1.GitRepository) []byte {
	w.t.Helper()
	a := repo.Status.Artifact
	if a == nil {
		w.t.Fatalf("%s advertises no artifact", repo.Name)
	}
	res, err := w.get(a.URL)
	if err != nil {
		w.t.Fatalf("downloading the artifact of %s: %v", repo.Name, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("downloading the artifact of %s: status %s, %v", repo.Name, res.Status, err)
	}
	if got := digest(data); got != a.Digest {
		w.t.Errorf("the bytes that are served at %s have the digest %s; want %s", a.URL, got, a.Digest)
	}
	if a.Size == nil || *a.Size != int64(len(data)) {
		w.t.Errorf("the size of the artifact is %v; want %d", a.Size, len(data))
	}
	return data
}

func (w *world) get(url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// digest is the digest of an artifact of these bytes.
func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// content returns the content of the artifact's files.
func (w *world) content(repo *sourcev1.GitRepository) map[string]string {
	w.t.Helper()
	out := make(map[string]string)
	for path, e := range w.unpack(w.download(repo)) {
		if e.mode.IsRegular() {
			out[path] = e.content
		}
	}
	return out
}

// entry is a file or folder of an archive.
type entry struct {
	mode    os.FileMode
	content string
}

// unpack reads an archive with nothing but the standard library.
func (w *world) unpack(data []byte) map[string]entry {
	w.t.Helper()
	out := make(map[string]entry)
	files := tar.NewReader(bytes.NewReader(w.gunzip(data)))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			w.t.Fatalf("reading an archive: %v", err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			w.t.Fatalf("reading %q of an archive: %v", h.Name, err)
		}
		out[h.Name] = entry{mode: h.FileInfo().Mode(), content: string(content)}
	}
}

func (w *world) gunzip(data []byte) []byte {
	w.t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		w.t.Fatalf("reading an archive: %v", err)
	}
	plain, err := io.ReadAll(zipped)
	if err != nil {
		w.t.Fatalf("reading an archive: %v", err)
	}
	return plain
}

// file is the path on disk of the artifact of repo.
func (w *world) file(repo *sourcev1.GitRepository) string {
	return filepath.Join(w.dir, filepath.FromSlash(repo.Status.Artifact.Path))
}

// stored lists the names of the files that the storage has for repo.
func (w *world) stored(repo *sourcev1.GitRepository) []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "gitrepository", repo.Namespace, repo.Name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// poke asks for a run of repo now, and waits for its end.
func (w *world) poke(repo *sourcev1.GitRepository) {
	w.t.Helper()
	w.Poke(repo)
	w.WaitHandled(repo)
}

// waitEvent waits for an event about repo whose message has all the parts, and
// returns it.
func (w *world) waitEvent(repo *sourcev1.GitRepository, kind, reason string, parts ...string) corev1.Event {
	w.t.Helper()
	var found corev1.Event
	w.Eventually(fmt.Sprintf("an event %s %s with %q", kind, reason, parts), func() bool {
		for _, e := range w.events(repo) {
			if e.Type == kind && e.Reason == reason && says(e.Message, parts...) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// events are those about repo, in the order in which they happened.
func (w *world) events(repo *sourcev1.GitRepository) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != repo.UID })
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return strings.Compare(a.Name, b.Name) })
	return list.Items
}

// settle waits until the controller asks the API server nothing more.
func (w *world) settle() {
	w.t.Helper()
	w.quiet(testplane.Any)
}

// quiet waits until the controller makes no more requests that match.
func (w *world) quiet(match func(testplane.Request) bool) {
	w.t.Helper()
	last, since := -1, time.Now()
	w.Eventually("no more requests", func() bool {
		if n := w.Traffic.Count(match); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 700*time.Millisecond
	})
}

// says reports whether a text has all the parts.
func says(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}
