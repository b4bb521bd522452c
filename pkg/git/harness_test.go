package git_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// patience is for what cannot fail to happen, on a machine that has much else to do.
const patience = 5 * time.Minute

// eachBackend runs a test against every way to serve a repository.
func eachBackend(t *testing.T, test func(t *testing.T, opts gitserver.Options)) {
	t.Helper()
	for _, backend := range []gitserver.Backend{gitserver.GitCommand, gitserver.GoGit} {
		t.Run(backend.String(), func(t *testing.T) {
			t.Parallel()
			test(t, needs(t, backend))
		})
	}
}

// needs returns options with a backend, if this machine has it.
func needs(t testing.TB, backend gitserver.Backend) gitserver.Options {
	t.Helper()
	opts := gitserver.Options{Backend: backend}
	if _, err := gitserver.NewHandler(t.TempDir(), opts); err != nil {
		t.Skipf("backend %s cannot be had: %v", backend, err)
	}
	return opts
}

// follower is one who fetches from one remote into stores of its own.
type follower struct {
	t      testing.TB
	dir    string
	stores *git.Stores
	client *git.Client
	remote *git.Remote
}

func follow(t testing.TB, remote *git.Remote) *follower {
	t.Helper()
	dir := t.TempDir()
	stores, err := git.OpenStores(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &follower{t: t, dir: dir, stores: stores, client: git.NewClient(git.Limits{}), remote: remote}
}

func remoteAt(t testing.TB, url string, c creds.Git) *git.Remote {
	t.Helper()
	r, err := git.NewRemote(url, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// soon is a context that ends before the test runner loses its patience.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (f *follower) dial() (*git.Conn, error) {
	f.t.Helper()
	// What is dialled outlives the context, as it does for a caller that has a
	// deadline for each step.
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	conn, err := f.client.Dial(ctx, f.remote)
	if err == nil {
		f.t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// resolve returns the only target of a reference.
func (f *follower) resolve(ref git.Reference) (*git.Conn, git.Target, error) {
	f.t.Helper()
	conn, err := f.dial()
	if err != nil {
		return nil, git.Target{}, err
	}
	targets, err := ref.Resolve(conn.Refs)
	if err != nil {
		return nil, git.Target{}, err
	}
	if len(targets) != 1 {
		f.t.Fatalf("%d targets, want 1: %v", len(targets), targets)
	}
	return conn, targets[0], nil
}

// try fetches what ref means.
func (f *follower) try(ref git.Reference) (*git.Snapshot, error) {
	f.t.Helper()
	conn, target, err := f.resolve(ref)
	if err != nil {
		return nil, err
	}
	return f.store().Fetch(soon(f.t), conn, target)
}

// fetch is try for what has to succeed.
func (f *follower) fetch(ref git.Reference) *git.Snapshot {
	f.t.Helper()
	snapshot, err := f.try(ref)
	if err != nil {
		f.t.Fatalf("fetching %+v: %v", ref, err)
	}
	return snapshot
}

func (f *follower) store() *git.Store { return f.stores.For(f.remote) }

// packs returns the paths of the pack files on disk.
func (f *follower) packs() []string {
	f.t.Helper()
	return f.onDisk(func(name string) bool { return strings.HasSuffix(name, ".pack") })
}

// onDisk returns the paths of the files whose base name fits.
func (f *follower) onDisk(fits func(name string) bool) []string {
	f.t.Helper()
	var paths []string
	err := filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && fits(e.Name()) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return paths
}

// content returns what a snapshot has: the content of files, with a star before those
// that are executable, and "/" for folders.
func content(t testing.TB, s *git.Snapshot) map[string]string {
	t.Helper()
	all, err := read(s)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(s *git.Snapshot) (map[string]string, error) {
	entries, err := s.Entries()
	if err != nil {
		return nil, err
	}
	all := make(map[string]string, len(entries))
	for _, e := range entries {
		if e.Dir {
			all[e.Path] = "/"
			continue
		}
		r, size, err := s.Open(e)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		r.Close()
		if int64(len(data)) != size {
			return nil, fmt.Errorf("%s has %d bytes, and its size is %d", e.Path, len(data), size)
		}
		all[e.Path] = string(data)
		if e.Executable {
			all[e.Path] = "*" + all[e.Path]
		}
	}
	return all, nil
}

// branch is a reference to a branch.
func branch(name string) git.Reference { return git.Reference{Branch: name} }

// noise returns text that does not compress well, and is the same every time.
func noise(seed, size int) string {
	var b strings.Builder
	x := uint64(seed)*2654435761 + 1
	for b.Len() < size {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x\n", x)
	}
	return b.String()[:size]
}

// history makes commits that each replace a file of the given size.
func history(r *gitservertest.Repo, on string, commits, size int) (first, last string) {
	for i := range commits {
		last = r.Commit(on, fmt.Sprintf("commit %d", i), gitserver.File("data.txt", noise(i+1, size)))
		if i == 0 {
			first = last
		}
	}
	return first, last
}

func hash(rev string) plumbing.Hash { return plumbing.NewHash(rev) }

// overwrite replaces a file by as many bytes that mean nothing.
func overwrite(t testing.TB, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// What is replaced may be read-only.
	if err := errors.Join(os.Remove(path), os.WriteFile(path, bytes.Repeat([]byte("x"), int(info.Size())), 0o600)); err != nil {
		t.Fatal(err)
	}
}
