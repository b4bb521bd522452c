package releases

import (
	"errors"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// TestHelmReadsWhatWeWrite and the other way round, by the driver of the SDK.
func TestHelmReadsWhatWeWrite(t *testing.T) {
	t.Parallel()
	v := newVault()
	ours := Open(v, "demo").Driver(t.Context(), DriverOptions{Method: ServerSide})
	rel := demo(1, release.StatusPendingInstall)
	rel.Labels = map[string]string{"team": "shop"}
	create(t, ours, rel)
	compareLabels(t, v, map[string]string{"name": "demo", "owner": "helm", "status": "pending-install", "version": "1", "team": "shop"}, "createdAt")
	rel.Info.Status = release.StatusDeployed
	update(t, ours, rel)
	compareLabels(t, v, map[string]string{"name": "demo", "owner": "helm", "status": "deployed", "version": "1", "team": "shop"}, "modifiedAt")

	got, err := v.helm.Get(keyOf("demo", 1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(t, rel), text(t, got)); diff != "" {
		t.Errorf("Helm reads another release (-ours +its):\n%s", diff)
	}
	if diff := cmp.Diff(rel.Labels, got.Labels); diff != "" {
		t.Errorf("Helm reads other labels (-ours +its):\n%s", diff)
	}
	found, err := v.helm.Query(map[string]string{"name": "demo", "owner": "helm", "status": "deployed"})
	if err != nil || len(found) != 1 {
		t.Errorf("Helm finds %d releases: %v", len(found), err)
	}

	// A Secret of ours differs from one of Helm's in nothing but the method.
	theirs := newVault()
	if err := theirs.helm.Create(keyOf("demo", 1), rel); err != nil {
		t.Fatal(err)
	}
	a, b := theirs.secret(t, "demo", 1), v.secret(t, "demo", 1)
	js := generic(t, b.Data[dataKey])
	if js["apply_method"] != "ssa" {
		t.Errorf("the method is stored as %v", js["apply_method"])
	}
	delete(js, "apply_method")
	if diff := cmp.Diff(generic(t, a.Data[dataKey]), js); diff != "" || a.Type != b.Type || len(b.Data) != 1 {
		t.Errorf("the Secret is of type %q with %d keys; content (-Helm's +ours):\n%s", b.Type, len(b.Data), diff)
	}
}

func TestWeReadWhatHelmWrites(t *testing.T) {
	t.Parallel()
	v := newVault()
	rel := demo(1, release.StatusDeployed)
	rel.Labels = map[string]string{"team": "shop"}
	if err := v.helm.Create(keyOf("demo", 1), rel); err != nil {
		t.Fatal(err)
	}
	rel.Info.Status = release.StatusSuperseded
	if err := v.helm.Update(keyOf("demo", 1), rel); err != nil {
		t.Fatal(err)
	}
	h := Open(v, "demo")
	r, err := h.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(t, rel), text(t, r.Release)); diff != "" || r.Method != "" {
		t.Errorf("we read the method %q and another release (-Helm's +ours):\n%s", r.Method, diff)
	}
	got, err := h.Driver(t.Context(), DriverOptions{}).Get(keyOf("demo", 1))
	if err != nil || !maps.Equal(got.Labels, rel.Labels) {
		t.Errorf("we read labels %v: %v", got.Labels, err)
	}
}

// compareLabels compares the labels of version 1 of demo, of which one is a time.
func compareLabels(t *testing.T, v *vault, want map[string]string, stamp string) {
	t.Helper()
	got := maps.Clone(v.secret(t, "demo", 1).Labels)
	if seconds, err := strconv.ParseInt(got[stamp], 10, 64); err != nil || time.Since(time.Unix(seconds, 0)) > time.Hour {
		t.Errorf("the label %s is %q", stamp, got[stamp])
	}
	delete(got, stamp)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// TestAsTheDriverOfHelm does the same with our driver and with Helm's, and compares what
// is left.
func TestAsTheDriverOfHelm(t *testing.T) {
	t.Parallel()
	const limit = 3
	tests := map[string]struct {
		why      string
		statuses []release.Status
	}{
		"an install":              {why: "the first version", statuses: []release.Status{release.StatusDeployed}},
		"as many as may be":       {why: "none has to go", statuses: []release.Status{release.StatusSuperseded, release.StatusSuperseded, release.StatusDeployed}},
		"more than may be":        {why: "the oldest go", statuses: []release.Status{release.StatusSuperseded, release.StatusSuperseded, release.StatusSuperseded, release.StatusDeployed, release.StatusFailed}},
		"failures since long ago": {why: "the deployed one stays", statuses: []release.Status{release.StatusDeployed, release.StatusFailed, release.StatusFailed, release.StatusFailed, release.StatusFailed}},
		"nothing but failures":    {why: "none is deployed", statuses: []release.Status{release.StatusFailed, release.StatusFailed, release.StatusFailed, release.StatusFailed}},
		"two deployed":            {why: "the newer one stays", statuses: []release.Status{release.StatusDeployed, release.StatusDeployed, release.StatusFailed, release.StatusFailed, release.StatusFailed}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, them := newVault(), newVault()
			fill := func(d driver.Driver) *storage.Storage {
				s := storage.Init(d)
				s.MaxHistory = limit
				for i, status := range tc.statuses {
					if err := s.Create(demo(i+1, status)); err != nil {
						t.Fatal(err)
					}
				}
				return s
			}
			ours, theirs := fill(Open(us, "demo").Driver(t.Context(), DriverOptions{})), fill(them.helm)
			if diff := cmp.Diff(them.versions(t, "demo"), us.versions(t, "demo")); diff != "" {
				t.Errorf("versions that are left (-Helm's +ours):\n%s(%s)", diff, tc.why)
			}
			for what, ask := range map[string]func(*storage.Storage) (*release.Release, error){
				"Last":     func(s *storage.Storage) (*release.Release, error) { return s.Last("demo") },
				"Deployed": func(s *storage.Storage) (*release.Release, error) { return s.Deployed("demo") },
				"Get":      func(s *storage.Storage) (*release.Release, error) { return s.Get("demo", len(tc.statuses)) },
				"no Get":   func(s *storage.Storage) (*release.Release, error) { return s.Get("demo", 99) },
				"no name":  func(s *storage.Storage) (*release.Release, error) { return s.Last("other") },
				"Delete":   func(s *storage.Storage) (*release.Release, error) { return s.Delete("demo", len(tc.statuses)) },
				"gone":     func(s *storage.Storage) (*release.Release, error) { return s.Delete("demo", 99) },
			} {
				want, wantErr := ask(theirs)
				got, err := ask(ours)
				if (err == nil) != (wantErr == nil) || err != nil && !errors.Is(err, sentinel(wantErr)) {
					t.Errorf("%s: %v; Helm's driver says %v", what, err, wantErr)
				} else if err == nil && text(t, want) != text(t, got) {
					t.Errorf("%s returns another release (-Helm's +ours):\n%s", what, cmp.Diff(text(t, want), text(t, got)))
				}
			}
		})
	}
}

// sentinel returns which of Helm's errors an error is.
func sentinel(err error) error {
	for _, s := range []error{driver.ErrReleaseNotFound, driver.ErrReleaseExists, driver.ErrNoDeployedReleases, driver.ErrInvalidKey} {
		if errors.Is(err, s) {
			return s
		}
	}
	return err
}
