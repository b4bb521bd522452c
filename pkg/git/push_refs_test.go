package git_test

import (
	"errors"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

// TestPushMovesRefs: a ref is moved from where it was seen to where it shall be, and in
// no other case.
func TestPushMovesRefs(t *testing.T) {
	t.Parallel()
	none := plumbing.ZeroHash
	type where struct{ first, second, draft plumbing.Hash }
	tests := map[string]struct {
		why     string
		updates func(w where) []git.RefUpdate
		is      error
		want    func(w where) map[string]plumbing.Hash
	}{
		"a new branch": {
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("new"), Old: none, New: w.draft}} },
			want: func(w where) map[string]plumbing.Hash {
				return map[string]plumbing.Hash{"new": w.draft, "main": w.second}
			},
		},
		"a branch that is not new": {
			why:     "somebody was first to make it",
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("other"), Old: none, New: w.draft}} },
			is:      git.ErrMoved,
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"other": w.first} },
		},
		"a branch that is gone": {
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("gone"), Old: w.first, New: w.draft}} },
			is:      git.ErrMoved,
			want:    func(where) map[string]plumbing.Hash { return nil },
		},
		"by force": {
			why:     "who says where a branch is may take it elsewhere",
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("lone"), Old: w.first, New: w.draft}} },
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"lone": w.draft} },
		},
		"what the remote has": {
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("new"), Old: none, New: w.first}} },
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"new": w.first} },
		},
		"several": {
			updates: func(w where) []git.RefUpdate {
				return []git.RefUpdate{{Name: ref("main"), Old: w.second, New: w.draft}, {Name: "refs/for/main", Old: none, New: w.draft}}
			},
			want: func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"main": w.draft} },
		},
		"one of several has moved": {
			why: "then none is moved",
			updates: func(w where) []git.RefUpdate {
				return []git.RefUpdate{{Name: ref("main"), Old: w.second, New: w.draft}, {Name: ref("other"), Old: w.second, New: w.draft}}
			},
			is: git.ErrMoved,
			want: func(w where) map[string]plumbing.Hash {
				return map[string]plumbing.Hash{"main": w.second, "other": w.first}
			},
		},
		"where it is": {
			why: "somebody has done it",
			updates: func(w where) []git.RefUpdate {
				return []git.RefUpdate{{Name: ref("other"), Old: w.second, New: w.first}}
			},
			want: func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"other": w.first} },
		},
		"nothing": {
			updates: func(where) []git.RefUpdate { return nil },
			is:      git.ErrInvalidReference,
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"main": w.second} },
		},
		"twice": {
			updates: func(w where) []git.RefUpdate {
				return []git.RefUpdate{{Name: ref("main"), Old: w.second, New: w.draft}, {Name: ref("main"), Old: w.second, New: w.first}}
			},
			is:   git.ErrInvalidReference,
			want: func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"main": w.second} },
		},
		"a deletion": {
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("main"), Old: w.second, New: none}} },
			is:      git.ErrInvalidReference,
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"main": w.second} },
		},
		"a name that is two lines": {
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: ref("a\nb"), Old: none, New: w.draft}} },
			is:      git.ErrInvalidReference,
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"main": w.second} },
		},
		"a short name": {
			updates: func(w where) []git.RefUpdate { return []git.RefUpdate{{Name: "main", Old: w.second, New: w.draft}} },
			is:      git.ErrInvalidReference,
			want:    func(w where) map[string]plumbing.Hash { return map[string]plumbing.Hash{"main": w.second} },
		},
	}
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				_, r, f := takesPushes(t, opts)
				w := where{first: hash(r.Commit("main", "one", gitserver.File("a", "1")))}
				r.Reset("other", w.first.String())
				r.Reset("lone", w.first.String())
				w.second = hash(r.Commit("main", "two", gitserver.File("a", "2")))
				d := draft(t, f.fetch(branch("main")), edit("a", "ours"))
				w.draft = d.Hash
				err := f.client.Push(soon(t), f.remote, d, tc.updates(w), git.PushOptions{})
				if !errors.Is(err, tc.is) {
					t.Errorf("%v, want %v (%s)", err, tc.is, tc.why)
				}
				for name, want := range tc.want(w) {
					if got := r.Head(name); got != want.String() {
						t.Errorf("%q is at %s, want %s (%s)", name, got, want, tc.why)
					}
				}
			})
		}
	})
}
