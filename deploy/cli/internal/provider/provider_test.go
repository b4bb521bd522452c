package provider_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/deploy/cli/internal/provider/providertest"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/pullrequest"
)

const token = "t0p-s3cret-token"

// world is a host, and how it is asked.
type world struct {
	*providertest.Host
	t    *testing.T
	opts provider.Options
}

// onEach runs a test for each kind of host.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, kind := range []pullrequest.Kind{pullrequest.GitHub, pullrequest.GitLab, pullrequest.Gitea} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, providertest.Options{Kind: kind}))
		})
	}
}

func newWorld(t *testing.T, o providertest.Options) *world {
	t.Helper()
	o.Token, o.User = token, "ann"
	o.Groups = append(o.Groups, "team", "crew")
	h := providertest.Start(t, o)
	return &world{Host: h, t: t, opts: provider.Options{Kind: o.Kind, Pages: h.Pages(), Owner: "team", Name: "fleet", Token: creds.Hide(token)}}
}

// client returns the host as it is asked, with other options if edit sets some.
func (w *world) client(edit func(*provider.Options)) *provider.Host {
	w.t.Helper()
	o := w.opts
	if edit != nil {
		edit(&o)
	}
	h, err := provider.New(o, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// created returns the repository, which is made.
func (w *world) created(h *provider.Host) provider.Repository {
	w.t.Helper()
	r, err := h.Create(w.t.Context(), provider.Settings{Visibility: "private", Branch: "main"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestRepository(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(nil)
		if _, err := h.Find(t.Context()); !errors.Is(err, provider.ErrNotFound) {
			t.Fatalf("before there is one: %v, want ErrNotFound", err)
		}
		r := w.created(h)
		if diff := cmp.Diff(w.Pages().String()+"/team/fleet.git", r.HTTPS); diff != "" {
			t.Errorf("URL (-want +got):\n%s", diff)
		}
		if r.SSH != "ssh://git@127.0.0.1/team/fleet" || r.Visibility != "private" {
			t.Errorf("made %+v", r)
		}
		found, err := h.Find(t.Context())
		if err != nil || found != r {
			t.Errorf("found %+v, %v; want %+v", found, err, r)
		}
		again, err := h.Create(t.Context(), provider.Settings{Visibility: "private", Branch: "main"})
		if err != nil || again != r {
			t.Errorf("made again: %+v, %v; want the one that there is", again, err)
		}
		for _, want := range []bool{true, false} {
			changed, err := h.Update(t.Context(), found, provider.Settings{Visibility: "public"})
			if err != nil || changed != want {
				t.Errorf("update: %t, %v; want %t", changed, err, want)
			}
			if found, err = h.Find(t.Context()); err != nil || found.Visibility != "public" {
				t.Errorf("after the update: %+v, %v", found, err)
			}
		}
	})
}

func TestPersonal(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(func(o *provider.Options) { o.Owner, o.Personal = "Ann", true })
		w.created(h)
		if _, there := w.Repository("ann/fleet"); !there {
			t.Error("there is no repository of the user")
		}
		h = w.client(func(o *provider.Options) { o.Owner, o.Personal = "bob", true })
		_, err := h.Create(t.Context(), provider.Settings{Visibility: "private"})
		if err == nil || !strings.Contains(err.Error(), `the token is that of "ann", and --owner is "bob"`) {
			t.Errorf("of somebody else: %v", err)
		}
	})
}

func TestTeams(t *testing.T) {
	t.Parallel()
	want := map[pullrequest.Kind]map[string]string{
		pullrequest.GitHub: {"crew": "maintain"}, pullrequest.GitLab: {"crew": "40"}, pullrequest.Gitea: {"crew": ""},
	}
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(nil)
		r := w.created(h)
		for _, first := range []bool{true, false} {
			changed, err := h.Grant(t.Context(), r, provider.Team{Name: "crew", Permission: "maintain"})
			if err != nil || changed != first {
				t.Errorf("changed %t, %v; want %t", changed, err, first)
			}
			repo, _ := w.Repository("team/fleet")
			if diff := cmp.Diff(want[w.Kind], repo.Teams); diff != "" {
				t.Errorf("teams (-want +got):\n%s", diff)
			}
		}
		if _, err := h.Grant(t.Context(), r, provider.Team{Name: "nobody", Permission: "maintain"}); !errors.Is(err, provider.ErrNotFound) {
			t.Errorf("of no team: %v, want ErrNotFound", err)
		}
	})
}

func TestLessAccessForAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, providertest.Options{Kind: pullrequest.GitLab})
	h := w.client(nil)
	r := w.created(h)
	for _, permission := range []string{"owner", "reporter"} {
		if changed, err := h.Grant(t.Context(), r, provider.Team{Name: "crew", Permission: permission}); err != nil || !changed {
			t.Fatalf("%s: %t, %v", permission, changed, err)
		}
	}
	if repo, _ := w.Repository("team/fleet"); repo.Teams["crew"] != "20" {
		t.Errorf("the group has level %s, want 20", repo.Teams["crew"])
	}
	if _, err := h.Grant(t.Context(), r, provider.Team{Name: "crew", Permission: "king"}); err == nil {
		t.Error("there is no such permission")
	}
}

func TestNestedGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, providertest.Options{Kind: pullrequest.GitLab, Groups: []string{"team/platform"}})
	h := w.client(func(o *provider.Options) { o.Owner = "team/platform" })
	w.created(h)
	if _, err := h.Find(t.Context()); err != nil {
		t.Error(err)
	}
	if _, there := w.Repository("team/platform/fleet"); !there {
		t.Error("there is no project in the nested group")
	}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(func(o *provider.Options) { o.Token = creds.Hide("wr0ng-token") })
		_, err := h.Find(t.Context())
		if !errors.Is(err, pullrequest.ErrUnauthorized) || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("error %v, want ErrUnauthorized without the token", err)
		}
	})
	if _, err := provider.New(provider.Options{Kind: pullrequest.GitHub, Pages: &url.URL{Scheme: "https", Host: "example.com"}, Owner: "a", Name: "b"}, nil); !errors.Is(err, pullrequest.ErrNoToken) {
		t.Errorf("without a token: %v, want ErrNoToken", err)
	}
}

// TestForbidden: the reader learns what the token needs for repositories, not for pull
// requests.
func TestForbidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, providertest.Options{Kind: pullrequest.GitHub, Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusForbidden) })
	}})
	_, err := w.client(nil).Find(t.Context())
	if !errors.Is(err, pullrequest.ErrForbidden) || !strings.Contains(err.Error(), "'Administration'") || strings.Contains(err.Error(), "Pull requests") {
		t.Errorf("error %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why string
		opt provider.Options
		bad bool
	}{
		"good":         {why: "most are", opt: provider.Options{Kind: pullrequest.GitHub, Owner: "team", Name: "fleet.v2"}},
		"no owner":     {why: "there is no default", opt: provider.Options{Name: "fleet"}, bad: true},
		"no name":      {why: "there is no default", opt: provider.Options{Owner: "team"}, bad: true},
		"climbs":       {why: "a path of the API would be another", opt: provider.Options{Owner: "..", Name: "fleet"}, bad: true},
		"name of two":  {why: "the owner has a flag of its own", opt: provider.Options{Owner: "team", Name: "team/fleet"}, bad: true},
		"nested":       {why: "GitLab has such groups", opt: provider.Options{Kind: pullrequest.GitLab, Owner: "a/b/c", Name: "fleet"}},
		"nested there": {why: "others have not", opt: provider.Options{Kind: pullrequest.GitHub, Owner: "a/b", Name: "fleet"}, bad: true},
	}
	for name, tc := range tests {
		if err := tc.opt.Validate(); (err != nil) != tc.bad {
			t.Errorf("%s: %v (%s)", name, err, tc.why)
		}
	}
	teams := map[string]provider.Team{"crew": {Name: "crew", Permission: "maintain"}, "crew:admin": {Name: "crew", Permission: "admin"}, ":x": {}, "crew:": {}, "../x": {}}
	for text, want := range teams {
		got, err := provider.ParseTeam(text)
		if got != want || (err != nil) != (want == provider.Team{}) {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
}

func TestPullRequests(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		h := w.client(nil)
		pulls, err := h.PullRequests(w.created(h), nil)
		if err != nil {
			t.Fatal(err)
		}
		// The server has no pull requests: that it is asked at the right place is what counts.
		_, err = pulls.Ensure(t.Context(), pullrequest.Request{Owner: "flux-system/flux-system", Head: "h", Base: "b", Commit: "c"})
		if !errors.Is(err, pullrequest.ErrNotFound) && !errors.Is(err, pullrequest.ErrAnswer) {
			t.Errorf("error %v", err)
		}
	})
}
