package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/deploy/cli/internal/provider/providertest"
	"weir.dev/pkg/pullrequest"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	const one, two = "ssh-ed25519 AAAAone", "ssh-ed25519 AAAAtwo"
	tests := map[string]struct {
		why     string
		before  []providertest.Key
		want    provider.Key
		changed bool
		after   []providertest.Key
	}{
		"is added":          {why: "the cluster must get in", want: provider.Key{Name: "k", Public: one}, changed: true, after: []providertest.Key{{Title: "k", Key: one}}},
		"is there":          {why: "nothing is to be done", before: []providertest.Key{{ID: 1, Title: "k", Key: one + " comment"}}, want: provider.Key{Name: "k", Public: one}, after: []providertest.Key{{Title: "k", Key: one + " comment"}}},
		"may write":         {why: "no host lets a permission change", before: []providertest.Key{{ID: 1, Title: "k", Key: one}}, want: provider.Key{Name: "k", Public: one, Write: true}, changed: true, after: []providertest.Key{{Title: "k", Key: one, Write: true}}},
		"may not any more":  {why: "less is safer", before: []providertest.Key{{ID: 1, Title: "k", Key: one, Write: true}}, want: provider.Key{Name: "k", Public: one}, changed: true, after: []providertest.Key{{Title: "k", Key: one}}},
		"is another now":    {why: "who has the old one is let in no more", before: []providertest.Key{{ID: 1, Title: "k", Key: one}}, want: provider.Key{Name: "k", Public: two}, changed: true, after: []providertest.Key{{Title: "k", Key: two}}},
		"has another name":  {why: "a key can be there once, and serves", before: []providertest.Key{{ID: 1, Title: "other", Key: one}}, want: provider.Key{Name: "k", Public: one}, after: []providertest.Key{{Title: "other", Key: one}}},
		"is beside another": {why: "other clusters have theirs", before: []providertest.Key{{ID: 1, Title: "other", Key: two}}, want: provider.Key{Name: "k", Public: one}, changed: true, after: []providertest.Key{{Title: "other", Key: two}, {Title: "k", Key: one}}},
		"is there twice":    {why: "one of the name is of another cluster that is gone", before: []providertest.Key{{ID: 1, Title: "k", Key: two}, {ID: 2, Title: "k", Key: one}}, want: provider.Key{Name: "k", Public: one}, changed: true, after: []providertest.Key{{Title: "k", Key: one}}},
	}
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(nil)
		r := w.created(h)
		for name, tc := range tests {
			w.Edit("team/fleet", func(r *providertest.Repository) { r.Keys = append([]providertest.Key(nil), tc.before...) })
			changed, err := h.EnsureKey(t.Context(), r, tc.want, unused)
			if err != nil || changed != tc.changed {
				t.Errorf("%s: changed %t, %v; want %t (%s)", name, changed, err, tc.changed, tc.why)
			}
			repo, _ := w.Repository("team/fleet")
			for i := range repo.Keys {
				repo.Keys[i].ID = 0
			}
			if diff := cmp.Diff(tc.after, repo.Keys); diff != "" {
				t.Errorf("%s: keys (-want +got), %s:\n%s", name, tc.why, diff)
			}
			before := w.Counts().Changes
			if changed, err = h.EnsureKey(t.Context(), r, tc.want, unused); err != nil || changed || w.Counts().Changes != before {
				t.Errorf("%s: the second time: %t, %v", name, changed, err)
			}
		}
	})
}

func unused() error { return nil }

// TestKeysAtWork: whoever uses the key has it before the old one goes, and after the host
// has taken it.
func TestKeysAtWork(t *testing.T) {
	t.Parallel()
	const one, two = "ssh-ed25519 AAAAone", "ssh-ed25519 AAAAtwo"
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(nil)
		r := w.created(h)
		w.Edit("team/fleet", func(r *providertest.Repository) { r.Keys = []providertest.Key{{ID: 1, Title: "k", Key: one}} })
		titles := map[pullrequest.Kind][]string{ // of which Gitea takes one of a name
			pullrequest.GitHub: {one, two}, pullrequest.GitLab: {one, two}, pullrequest.Gitea: {two},
		}
		lost := errors.New("the cluster is away")
		_, err := h.EnsureKey(t.Context(), r, provider.Key{Name: "k", Public: two}, func() error {
			if diff := cmp.Diff(titles[w.Kind], w.keys()); diff != "" {
				t.Errorf("when the key is handed out, the host has (-want +got):\n%s", diff)
			}
			return lost
		})
		if !errors.Is(err, lost) {
			t.Errorf("error %v, want that of whom it was handed to", err)
		}
		if diff := cmp.Diff(titles[w.Kind], w.keys()); diff != "" {
			t.Errorf("without anybody who uses the new key, the host has (-want +got):\n%s", diff)
		}
	})
}

// keys are the public keys that the repository has.
func (w *world) keys() []string {
	repo, _ := w.Repository("team/fleet")
	var all []string
	for _, k := range repo.Keys {
		all = append(all, k.Key)
	}
	return all
}

// TestRefusedKeys: a host that does not take a key leaves the cluster the one that it has.
func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	const one, two = "ssh-ed25519 AAAAone", "ssh-ed25519 AAAAtwo"
	tests := map[string]struct {
		why  string
		want provider.Key
	}{
		"another key":         {why: "the old one is in use", want: provider.Key{Name: "k", Public: two}},
		"another permission":  {why: "the old one had to go first", want: provider.Key{Name: "k", Public: one, Write: true}},
		"a key for the first": {why: "there is no other", want: provider.Key{Name: "new", Public: two}},
	}
	for _, kind := range []pullrequest.Kind{pullrequest.GitHub, pullrequest.GitLab, pullrequest.Gitea} {
		for name, tc := range tests {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				t.Parallel()
				once := new(refuser)
				w := newWorld(t, providertest.Options{Kind: kind, Wrap: once.wrap})
				h := w.client(nil)
				r := w.created(h)
				before := providertest.Key{ID: 1, Title: "k", Key: one}
				w.Edit("team/fleet", func(r *providertest.Repository) { r.Keys = []providertest.Key{before} })
				once.armed.Store(true)
				_, err := h.EnsureKey(t.Context(), r, tc.want, func() error {
					t.Error("a key is handed out that lets nobody in")
					return nil
				})
				if !errors.Is(err, pullrequest.ErrRefused) {
					t.Errorf("error %v, want ErrRefused", err)
				}
				repo, _ := w.Repository("team/fleet")
				if len(repo.Keys) == 1 {
					repo.Keys[0].ID = before.ID
				}
				if diff := cmp.Diff([]providertest.Key{before}, repo.Keys); diff != "" {
					t.Errorf("keys (-want +got), %s:\n%s", tc.why, diff)
				}
			})
		}
	}
}

// refuser refuses the next thing that is to be made, once.
type refuser struct{ armed atomic.Bool }

func (f *refuser) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && f.armed.CompareAndSwap(true, false) {
			http.Error(w, `{"message":"not now"}`, http.StatusUnprocessableEntity)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestManyKeys: a key on a later page is there, too, however small the pages are.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 7} {
		for _, kind := range []pullrequest.Kind{pullrequest.GitHub, pullrequest.GitLab, pullrequest.Gitea} {
			t.Run(fmt.Sprint(kind, " ", size), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, providertest.Options{Kind: kind, PageSize: size})
				h := w.client(nil)
				r := w.created(h)
				w.Edit("team/fleet", func(r *providertest.Repository) {
					for i := range 230 {
						r.Keys = append(r.Keys, providertest.Key{ID: int64(i), Title: fmt.Sprint("k", i), Key: fmt.Sprint("ssh-ed25519 AAAA", i)})
					}
				})
				if changed, err := h.EnsureKey(t.Context(), r, provider.Key{Name: "k229", Public: "ssh-ed25519 AAAA229"}, unused); err != nil || changed {
					t.Errorf("changed %t, %v", changed, err)
				}
			})
		}
	}
}

// token returns what the cluster gets; nil if it has what is good.
func (w *world) token(h *provider.Host, r provider.Repository, has string) *provider.DeployToken {
	w.t.Helper()
	var got *provider.DeployToken
	err := h.EnsureToken(w.t.Context(), r, "sync", has, func(made *provider.DeployToken) error { got = made; return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func TestDeployToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, providertest.Options{Kind: pullrequest.GitLab, PageSize: 1})
	h := w.client(nil)
	r := w.created(h)
	first := w.token(h, r, "")
	if first == nil {
		t.Fatal("there is no token")
	}
	if again := w.token(h, r, first.Username.Reveal()); again != nil {
		t.Errorf("with the token in the cluster: %v; want none", again)
	}
	next := w.token(h, r, "")
	if next == nil {
		t.Fatal("without it: none; want another")
	}
	repo, _ := w.Repository("team/fleet")
	if len(repo.Tokens) != 1 || repo.Tokens[0].Token != next.Token.Reveal() {
		t.Errorf("the project has %d tokens, want the last one only", len(repo.Tokens))
	}
	if text := fmt.Sprintf("%v %+v %#v", *next, *next, *next); strings.Contains(text, next.Token.Reveal()) {
		t.Errorf("the token is printed: %s", text)
	}
	other := newWorld(t, providertest.Options{Kind: pullrequest.Gitea})
	if err := other.client(nil).EnsureToken(t.Context(), r, "sync", "", nil); !errors.Is(err, provider.ErrNoTokens) {
		t.Errorf("of another host: %v, want ErrNoTokens", err)
	}
}

// TestTokensAtWork: the old token goes when the cluster has the new one.
func TestTokensAtWork(t *testing.T) {
	t.Parallel()
	once := new(refuser)
	w := newWorld(t, providertest.Options{Kind: pullrequest.GitLab, Wrap: once.wrap})
	h := w.client(nil)
	r := w.created(h)
	old := w.token(h, r, "")
	tokens := func() int {
		repo, _ := w.Repository("team/fleet")
		return len(repo.Tokens)
	}
	once.armed.Store(true)
	if err := h.EnsureToken(t.Context(), r, "sync", "", nil); !errors.Is(err, pullrequest.ErrRefused) || tokens() != 1 {
		t.Errorf("of a host that makes none: %v, and there are %d tokens; want ErrRefused, and the old one", err, tokens())
	}
	lost := errors.New("the cluster is away")
	err := h.EnsureToken(t.Context(), r, "sync", "", func(made *provider.DeployToken) error {
		if tokens() != 2 {
			t.Errorf("there are %d tokens when the new one is handed out, want both", tokens())
		}
		return lost
	})
	if !errors.Is(err, lost) || tokens() != 2 {
		t.Errorf("of a cluster that is away: %v, and there are %d tokens; want both", err, tokens())
	}
	if w.token(h, r, old.Username.Reveal()); tokens() != 1 {
		t.Errorf("there are %d tokens, want the one that the cluster has", tokens())
	}
}
