package git_test

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

// TestCutPack: a connection may break anywhere in a pack.
func TestCutPack(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		size := func(commit string) int64 { // of the answer with the pack of a commit
			s.Counter.Reset()
			other := follow(t, f.remote)
			if _, err := other.dial(); err != nil {
				t.Fatal(err)
			}
			refs := s.Counter.Counts().Bytes
			s.Counter.Reset()
			other.fetch(git.Reference{Commit: commit})
			return s.Counter.Counts().Bytes - refs
		}
		for round, file := range []string{"first", "second"} {
			rev := r.Commit("main", file, gitserver.File(file, noise(round+1, 3000)))
			whole := size(rev)
			for part := range int64(5) {
				s.Faults.Set(gitserver.Truncate(whole * part / 12))
				_, err := f.try(branch("main"))
				silent(t, err, git.ErrProtocol)
				if errors.Is(err, git.ErrDamaged) {
					t.Errorf("cut after %d of %d bytes: %v, and it is not the store", whole*part/12, whole, err)
				}
				if left := f.onDisk(temporary); len(left) > 0 {
					t.Errorf("left on disk: %v", left)
				}
				if _, ok := f.store().Has(hash(rev)); ok {
					t.Error("the store has half of a commit")
				}
			}
			s.Faults.Set(nil)
			if got := content(t, f.fetch(branch("main")))[file]; got != noise(round+1, 3000) {
				t.Errorf("content of %q after the cuts: %d bytes", file, len(got))
			}
		}
		if n := len(f.packs()); n != 2 {
			t.Errorf("%d packs for two commits", n)
		}
	})
}

// stall sends n bytes of an answer and then no more. It tells when.
func stall(n int) (fault gitserver.Middleware, stalled <-chan struct{}) {
	told := make(chan struct{})
	var once sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&stallingWriter{ResponseWriter: w, left: n, stall: func() {
				once.Do(func() { close(told) })
				<-r.Context().Done()
			}}, r)
		})
	}, told
}

type stallingWriter struct {
	http.ResponseWriter
	left  int
	stall func()
}

func (w *stallingWriter) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	n, err := w.ResponseWriter.Write(p[:w.left])
	w.left = 0
	err = errors.Join(err, http.NewResponseController(w.ResponseWriter).Flush())
	w.stall()
	return n, errors.Join(err, http.ErrHandlerTimeout)
}

// TestSilence: servers that hang keep nobody longer than the caller's time.
func TestSilence(t *testing.T) {
	t.Parallel()
	over := errors.New("spec.timeout of 1s is over")
	tests := map[string]struct {
		kind gitserver.Kind
		sent int
	}{
		"no refs":      {kind: gitserver.Advertisement},
		"half refs":    {kind: gitserver.Advertisement, sent: 50},
		"no pack":      {kind: gitserver.UploadPack},
		"half pack":    {kind: gitserver.UploadPack, sent: 1000},
		"half a reply": {kind: gitserver.UploadPack, sent: 6},
	}
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, r, f := serve(t, opts)
				r.Commit("main", "one", gitserver.File("a", noise(1, 5000)))
				fault, stalled := stall(tc.sent)
				s.Faults.Set(gitserver.Only(tc.kind, fault))
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() {
					select {
					case <-stalled:
						cancel(over)
					case <-t.Context().Done():
						cancel(nil)
					}
				}()
				conn, err := f.client.Dial(ctx, f.remote)
				if err == nil {
					targets, resolveErr := branch("main").Resolve(conn.Refs)
					if resolveErr != nil {
						t.Fatal(resolveErr)
					}
					_, err = f.store().Fetch(ctx, conn, targets[0])
				}
				silent(t, err, over, "in time")
				if left := f.onDisk(temporary); len(left) > 0 {
					t.Errorf("left on disk: %v", left)
				}
				s.Faults.Set(nil)
				if got := content(t, f.fetch(branch("main")))["a"]; got != noise(1, 5000) {
					t.Errorf("content afterwards: %d bytes", len(got))
				}
			})
		}
	})
}

// TestDeadline: the error says that the time was up, whatever broke because of that.
func TestDeadline(t *testing.T) {
	t.Parallel()
	s, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	conn, target, err := f.resolve(branch("main"))
	if err != nil {
		t.Fatal(err)
	}
	s.Faults.Set(gitserver.Hang(nil))
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	_, err = f.client.Dial(ctx, f.remote)
	silent(t, err, context.DeadlineExceeded, "in time", f.remote.String())
	_, err = f.store().Fetch(ctx, conn, target)
	silent(t, err, context.DeadlineExceeded, "in time")
}

// TestFetchToBeKilled is the process that TestKill kills.
func TestFetchToBeKilled(t *testing.T) {
	if flag.NArg() != 2 {
		t.Skip("this is not a process to be killed")
	}
	stores, err := git.OpenStores(flag.Arg(0))
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, dir: flag.Arg(0), stores: stores, client: git.NewClient(git.Limits{}), remote: remoteAt(t, flag.Arg(1), creds.Git{})}
	f.fetch(branch("main"))
}

func TestKill(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		for round, file := range []string{"first", "second"} {
			r.Commit("main", file, gitserver.File(file, noise(round+1, 9000)))
			fault, stalled := stall(4000)
			s.Faults.Set(gitserver.Only(gitserver.UploadPack, fault))
			process := exec.CommandContext(t.Context(), program, "-test.run=^TestFetchToBeKilled$", f.dir, f.remote.String())
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- process.Wait() }()
			select {
			case <-stalled:
			case err := <-ended:
				t.Fatalf("the process ended before it was killed: %v", err)
			}
			if err := process.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-ended
			s.Faults.Set(nil)
			f.restart()
			if got := content(t, f.fetch(branch("main")))[file]; got != noise(round+1, 9000) {
				t.Errorf("content of %q after the kill: %d bytes", file, len(got))
			}
			if left := f.onDisk(temporary); len(left) > 0 {
				t.Errorf("left on disk: %v", left)
			}
		}
	})
}

// TestKilledBeforeTheRef: a kill between the pack and the ref costs a second fetch, and
// no more room each time.
func TestKilledBeforeTheRef(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		_, r, f := serve(t, opts)
		r.Commit("main", "one", gitserver.File("a", "1"))
		f.fetch(branch("main"))
		rev := r.Commit("main", "two", gitserver.File("a", "2"))
		for range 5 {
			if diff := cmp.Diff(map[string]string{"a": "2"}, content(t, f.fetch(branch("main")))); diff != "" {
				t.Fatalf("content (-want +got):\n%s", diff)
			}
			for _, ref := range f.onDisk(func(name string) bool { return name == rev }) {
				if err := os.Remove(ref); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := len(f.packs()); n != 2 {
			t.Errorf("%d packs for two commits", n)
		}
	})
}

// TestLeftovers: a kill may leave whatever was not complete.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	r.Commit("main", "one", gitserver.File("a", "1"))
	f.fetch(branch("main"))
	dir := filepath.Dir(f.packs()[0])
	left := []string{"tmp_pack_1", "tmp_thin_1", "pack-1111111111111111111111111111111111111111.idx"}
	for _, name := range left {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.Commit("main", "two", gitserver.File("a", "2"))
	f.fetch(branch("main"))
	if found := f.onDisk(func(name string) bool { return slices.Contains(left, name) }); len(found) > 0 {
		t.Errorf("left on disk: %v", found)
	}
	if n := len(f.packs()); n != 2 {
		t.Errorf("%d packs, want those of two commits", n)
	}
}

// damage is what happens to files of a store.
type damage struct {
	suffix string // of the names of the files; "" is refs
	all    bool   // or only the first of them
	happen func(*testing.T, string)
}

func damages() map[string]damage {
	cut := func(t *testing.T, path string) { resize(t, path, 2) }
	empty := func(t *testing.T, path string) { resize(t, path, 0) }
	replace := func(t *testing.T, path string) { overwrite(t, path) }
	remove := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]damage{
		"packs gone":        {suffix: ".pack", all: true, happen: remove},
		"packs overwritten": {suffix: ".pack", all: true, happen: replace},
		"packs cut":         {suffix: ".pack", all: true, happen: cut},
		"packs empty":       {suffix: ".pack", all: true, happen: empty},
		"a pack gone":       {suffix: ".pack", happen: remove},
		"a pack replaced":   {suffix: ".pack", happen: replace},
		"an index gone":     {suffix: ".idx", happen: remove},
		"an index replaced": {suffix: ".idx", happen: replace},
		"an index cut":      {suffix: ".idx", happen: cut},
		"a ref gone":        {happen: remove},
		"refs empty":        {all: true, happen: empty},
		"refs replaced":     {all: true, happen: replace},
		"shallow gone":      {suffix: "shallow", all: true, happen: remove},
		"shallow replaced":  {suffix: "shallow", all: true, happen: replace},
	}
}

// to damages what is on disk, and returns how many files of that kind there were.
func (d damage) to(t *testing.T, f *follower) int {
	t.Helper()
	found := f.onDisk(func(name string) bool {
		return d.suffix != "" && strings.HasSuffix(name, d.suffix) || d.suffix == "" && len(name) == len(zero)
	})
	slices.Sort(found)
	for i, path := range found {
		if i == 0 || d.all {
			d.happen(t, path)
		}
	}
	return len(found)
}

// TestDamage: whatever happens to the files of a store, it is noticed when they are
// needed, and made good by the fetch that notices or the next.
func TestDamage(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		for name, damage := range damages() {
			if (damage.suffix == "shallow") != (opts.Backend == gitserver.GitCommand) {
				continue // what is no fault of the server takes the faster one
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, r, f := serve(t, opts)
				want := map[string]string{"a": noise(3, 900), "b/c": noise(4, 900), "b": "/"}
				r.Commit("main", "zero", gitserver.File("a", noise(1, 900)), gitserver.File("b/c", noise(2, 900)))
				r.Commit("main", "one", gitserver.File("a", noise(3, 900)))
				f.fetch(branch("main"))
				r.Commit("main", "two", gitserver.File("b/c", noise(4, 900)))
				f.fetch(branch("main"))
				if damage.to(t, f) == 0 {
					t.Fatal("there is nothing to damage")
				}
				f.recovers(want) // what it had
				damage.to(t, f)  // what may be gone already
				want["a"] = noise(5, 900)
				r.Commit("main", "three", gitserver.File("a", want["a"]))
				f.recovers(want) // what it never had
				s.Counter.Reset()
				f.recovers(want)
				if got := s.Counter.Counts(); got.UploadPacks > 0 {
					t.Errorf("%+v, want the damage to be made good for good", got)
				}
			})
		}
	})
}

const zero = "0000000000000000000000000000000000000000"

// recovers fetches the branch main, which may go wrong once.
func (f *follower) recovers(want map[string]string) {
	f.t.Helper()
	got, err := f.whole()
	if errors.Is(err, git.ErrDamaged) {
		got, err = f.whole()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Fatalf("content (-want +got):\n%s", diff)
	}
}

func (f *follower) whole() (map[string]string, error) {
	f.t.Helper()
	snapshot, err := f.try(branch("main"))
	if err != nil {
		return nil, err
	}
	return read(snapshot)
}

// resize leaves the part of a file: 2 is one half, and 0 is nothing.
func resize(t *testing.T, path string, part int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	if part > 0 {
		size = info.Size() / part
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
}
