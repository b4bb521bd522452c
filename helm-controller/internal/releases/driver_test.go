package releases

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	helmtime "helm.sh/helm/v3/pkg/time"
)

// TestRequestsOfAnUpgrade: the SDK asks for the history again and again.
func TestRequestsOfAnUpgrade(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusSuperseded)), stored(t, demo(2, release.StatusDeployed)))
	h := Open(v, "demo")
	if _, err := h.Last(t.Context()); err != nil { // the action looks before
		t.Fatal(err)
	}
	s := storage.Init(h.Driver(t.Context(), DriverOptions{}))
	s.MaxHistory = 2
	before, err := s.Last("demo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Deployed("demo"); err != nil {
		t.Fatal(err)
	}
	next := demo(3, release.StatusPendingUpgrade)
	before.Info.Status = release.StatusSuperseded
	for _, err := range []error{s.Create(next), s.Update(before)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	next.Info.Status = release.StatusDeployed
	if err := s.Update(next); err != nil {
		t.Fatal(err)
	}
	if all, err := h.All(t.Context()); err != nil || len(all) != 2 || all[0].Info.Status != release.StatusDeployed || all[1].Info.Status != release.StatusSuperseded {
		t.Errorf("the History knows %d versions: %v", len(all), err)
	}
	want := map[string]int{"list": 1, "delete": 1, "create": 1, "update": 2}
	if diff := cmp.Diff(want, v.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestHooksOfTheDriver(t *testing.T) {
	t.Parallel()
	v := newVault()
	errNo := errors.New("no")
	refuse := true
	var wrote []*Release
	h := Open(v, "demo")
	d := h.Driver(t.Context(), DriverOptions{
		Method: ClientSide,
		Prepare: func(r *release.Release) error {
			if refuse {
				return errNo
			}
			r.Hooks[0].Manifest += "# prepared\n"
			return nil
		},
		Wrote: func(r *Release) {
			if _, err := h.Get(t.Context(), r.Version); err != nil {
				t.Errorf("what was written is not there: %v", err)
			}
			wrote = append(wrote, r)
		},
	})
	rel := demo(1, release.StatusPendingInstall)
	if err := d.Create(keyOf("demo", 1), rel); !errors.Is(err, errNo) || len(wrote) > 0 || len(v.versions(t, "demo")) > 0 {
		t.Fatalf("a release that could not be prepared was stored: %v", err)
	}
	refuse = false
	create(t, d, rel)
	if rel.Hooks[0].Manifest != "a: b# prepared\n" {
		t.Errorf("the action goes on with the hook %q", rel.Hooks[0].Manifest)
	}
	rel.Info.Status = release.StatusDeployed
	update(t, d, rel)
	if got := v.secret(t, "demo", 1); !slices.Equal(statuses(wrote), []release.Status{release.StatusPendingInstall, release.StatusDeployed}) || generic(t, got.Data[dataKey])["apply_method"] != "csa" {
		t.Errorf("told of %v", statuses(wrote))
	}
	for _, r := range wrote {
		if r.Hooks[0].Manifest != rel.Hooks[0].Manifest {
			t.Errorf("hook %q was stored; want that once", r.Hooks[0].Manifest)
		}
	}
	if err := d.Create(keyOf("demo", 1), demo(1, release.StatusPendingInstall)); !errors.Is(err, driver.ErrReleaseExists) || len(wrote) != 2 {
		t.Errorf("a version can be made twice: %v", err)
	}
}

func statuses(rs []*Release) (s []release.Status) {
	for _, r := range rs {
		s = append(s, r.Info.Status)
	}
	return s
}

// TestSnapshotsOfWhatIsWritten must be those of what is read later, whatever the SDK has
// in memory.
func TestSnapshotsOfWhatIsWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why string
		rel func(*release.Release)
	}{
		"plain":         {why: "as most are", rel: func(*release.Release) {}},
		"a large whole": {why: "JSON is read as floating point", rel: func(r *release.Release) { r.Config["a"] = int64(9007199254740993) }},
		"a whole":       {why: "JSON does not tell it from 3.0", rel: func(r *release.Release) { r.Config["a"] = []any{int32(3), uint8(4), 3.0} }},
		"broken text":   {why: "JSON is UTF-8", rel: func(r *release.Release) { r.Manifest = "a: \xff\xfe<&>\u2028" }},
		"a zone":        {why: "times keep theirs", rel: func(r *release.Release) { r.Info.LastDeployed = helmtime.Time{Time: time.Now()} }},
		"another zone":  {why: "times keep theirs", rel: func(r *release.Release) { r.Info.Deleted = r.Info.Deleted.In(time.FixedZone("", 5400)).Add(1) }},
		"no values":     {why: "none is null", rel: func(r *release.Release) { r.Config = map[string]any{} }},
		"no hooks":      {why: "none is null", rel: func(r *release.Release) { r.Hooks = nil }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault()
			var wrote *Release
			rel := demo(1, release.StatusDeployed)
			tc.rel(rel)
			create(t, Open(v, "demo").Driver(t.Context(), DriverOptions{Wrote: func(r *Release) { wrote = r }}), rel)
			read, err := Open(v, "demo").Last(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := wrote.Snapshot(digest.SHA256, "")
			if diff := cmp.Diff(toYAML(t, want), toYAML(t, read.Snapshot(digest.SHA256, ""))); diff != "" || wrote.ResourceVersion != read.ResourceVersion {
				t.Errorf("snapshots (-written +read):\n%s(%s)", diff, tc.why)
			}
		})
	}
}

// TestActionsOwnWhatTheyGet: the SDK changes releases, and does not always store them.
func TestActionsOwnWhatTheyGet(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusDeployed)))
	h := Open(v, "demo")
	d := h.Driver(t.Context(), DriverOptions{})
	made := demo(2, release.StatusPendingUpgrade)
	create(t, d, made)
	found, err := d.Query(map[string]string{"name": "demo", "owner": "helm"})
	if err != nil {
		t.Fatal(err)
	}
	one, err := d.Get(keyOf("demo", 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Version != 2 || found[1].Version != 1 || found[1].Info.Status != release.StatusDeployed {
		t.Fatalf("found %v", found)
	}
	found[1].Info.Status = release.StatusFailed // which is all that it has
	for _, r := range []*release.Release{found[0], one, made} {
		r.Info.Status = release.StatusFailed
		r.Hooks[0].Manifest = "changed"
		r.Config["a"] = "changed"
		r.Manifest = "changed"
	}
	all, err := h.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []*release.Release{demo(2, release.StatusPendingUpgrade), demo(1, release.StatusDeployed)} {
		if diff := cmp.Diff(text(t, want), text(t, all[i].Release)); diff != "" {
			t.Errorf("version %d has changed (-want +got):\n%s", want.Version, diff)
		}
	}
}

func TestCorruptVersionsForTheSDK(t *testing.T) {
	t.Parallel()
	bad := func(version int, status release.Status) *vault {
		v := newVault(stored(t, demo(1, release.StatusSuperseded)), stored(t, demo(2, release.StatusSuperseded)), stored(t, demo(3, release.StatusDeployed)))
		s := v.secret(t, "demo", version)
		s.Data[dataKey], s.Labels[statusLabel] = []byte("%"), string(status)
		if err := v.Tracker().Update(secretsResource(), s, namespace); err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Run("an old one", func(t *testing.T) {
		t.Parallel()
		v := bad(1, release.StatusSuperseded)
		s := storage.Init(Open(v, "demo").Driver(t.Context(), DriverOptions{}))
		s.MaxHistory = 3
		if r, err := s.Last("demo"); err != nil || r.Version != 3 {
			t.Errorf("it hides the newest: %v", err)
		}
		if _, err := s.Get("demo", 1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("one rolls back to it: %v", err)
		}
		if err := s.Create(demo(4, release.StatusPendingUpgrade)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{2, 3, 4}, v.versions(t, "demo")); diff != "" {
			t.Errorf("it does not go when its time has come (-want +got):\n%s", diff)
		}
	})
	t.Run("the newest", func(t *testing.T) {
		t.Parallel()
		s := storage.Init(Open(bad(3, release.StatusDeployed), "demo").Driver(t.Context(), DriverOptions{}))
		if r, err := s.Last("demo"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("one goes on from another: %v, %v", r, err)
		}
	})
	t.Run("the deployed one", func(t *testing.T) {
		t.Parallel()
		s := storage.Init(Open(bad(2, release.StatusDeployed), "demo").Driver(t.Context(), DriverOptions{}))
		if r, err := s.Deployed("demo"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("another counts as deployed: %v, %v", r, err)
		}
	})
	t.Run("purged", func(t *testing.T) {
		t.Parallel()
		v := bad(1, release.StatusSuperseded)
		s := storage.Init(Open(v, "demo").Driver(t.Context(), DriverOptions{}))
		all, err := s.History("demo")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if _, err := s.Delete(r.Name, r.Version); err != nil {
				t.Error(err)
			}
		}
		if left := v.versions(t, "demo"); len(left) > 0 {
			t.Errorf("versions %v are left behind", left)
		}
	})
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	v := newVault()
	d := Open(v, "demo").Driver(t.Context(), DriverOptions{})
	other := demo(1, release.StatusDeployed)
	other.Name = "other"
	for what, err := range map[string]error{
		"another name":    d.Create(keyOf("other", 1), other),
		"another version": d.Create(keyOf("demo", 2), demo(1, release.StatusDeployed)),
		"another Update":  d.Update(keyOf("demo", 2), demo(1, release.StatusDeployed)),
	} {
		if !errors.Is(err, driver.ErrInvalidKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := d.Get("demo"); !errors.Is(err, driver.ErrInvalidKey) {
		t.Errorf("a key that is none: %v", err)
	}
	if err := d.Update(keyOf("demo", 1), demo(1, release.StatusDeployed)); !errors.Is(err, driver.ErrReleaseNotFound) {
		t.Errorf("a version that is not stored: %v", err)
	}
	if asked := v.asked(); asked["create"]+asked["update"] > 0 {
		t.Errorf("the API server was asked: %v", asked)
	}
}
