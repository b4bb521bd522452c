package releases

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
)

// recorded reads what Flux left.
func recorded(t testing.TB) (secrets []*corev1.Secret, history []*helmv2.Snapshot) {
	t.Helper()
	var list corev1.SecretList
	for name, into := range map[string]any{"secrets.yaml": &list, "history.yaml": &history} {
		data, err := os.ReadFile(filepath.Join("testdata", "recorded", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	for i := range list.Items {
		secrets = append(secrets, &list.Items[i])
	}
	if len(secrets) != 4 || len(history) != 4 {
		t.Fatalf("there are %d Secrets and %d snapshots; want 4 and 4", len(secrets), len(history))
	}
	return secrets, history
}

// TestSnapshotsAreAsRecorded: if a digest were another, every release of an installation
// that is taken over would be upgraded.
func TestSnapshotsAreAsRecorded(t *testing.T) {
	t.Parallel()
	secrets, history := recorded(t)
	v := newVault(secrets...)
	for _, want := range history {
		t.Run(want.FullReleaseName(), func(t *testing.T) {
			t.Parallel()
			r, err := Open(v, want.Name).Get(t.Context(), want.Version)
			if err != nil {
				t.Fatal(err)
			}
			if r.Method != ServerSide {
				t.Errorf("it was applied by %q; want %q", r.Method, ServerSide)
			}
			got := r.Snapshot(digest.SHA256, "")
			got.Action = want.Action // which storage does not tell
			if diff := cmp.Diff(toYAML(t, want), toYAML(t, got)); diff != "" {
				t.Errorf("the snapshot differs from the recorded one (-recorded +got):\n%s", diff)
			}
			if err := r.Verify(want); err != nil {
				t.Errorf("the recorded digest does not fit: %v", err)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why      string
		snapshot func(*helmv2.Snapshot)
		release  func(*release.Release)
		differs  bool
	}{
		"as it was":           {why: "nobody touched it"},
		"another algorithm":   {why: "it is a flag", snapshot: resum(digest.SHA512, "")},
		"another status":      {why: "somebody acted", release: func(r *release.Release) { r.Info.Status = release.StatusSuperseded }, differs: true},
		"another text":        {why: "somebody acted", release: func(r *release.Release) { r.Info.Description = "Rollback to 1" }, differs: true},
		"another manifest":    {why: "somebody edited the Secret", release: func(r *release.Release) { r.Manifest += "b: c" }, differs: true},
		"other values":        {why: "somebody acted", release: func(r *release.Release) { r.Config["b"] = "c" }, differs: true},
		"a hook that ran":     {why: "somebody acted", release: func(r *release.Release) { r.Hooks[0].LastRun.Phase = release.HookPhaseFailed }, differs: true},
		"a test that ran":     {why: "anybody may run tests", release: func(r *release.Release) { r.Hooks[1].LastRun.Phase = release.HookPhaseFailed }},
		"another template":    {why: "what was rendered counts", release: func(r *release.Release) { r.Chart.Templates = nil }},
		"another version":     {why: "it is another release", snapshot: func(s *helmv2.Snapshot) { s.Version++ }, differs: true},
		"another namespace":   {why: "it is another release", snapshot: func(s *helmv2.Snapshot) { s.Namespace = "x" }, differs: true},
		"another artifact":    {why: "the chart comes from elsewhere", snapshot: func(s *helmv2.Snapshot) { s.OCIDigest = "sha256:00" }, differs: true},
		"a chart of OCI":      {why: "its digest is a part", snapshot: resum(digest.SHA256, "sha256:00")},
		"an older digest":     {why: "it was made in another way", snapshot: func(s *helmv2.Snapshot) { s.APIVersion, s.Digest = "v2beta2", "sha256:00" }},
		"a digest of no kind": {why: "it cannot be compared", snapshot: func(s *helmv2.Snapshot) { s.Digest = "md5:00" }, differs: true},
		"no digest":           {why: "it cannot be compared", snapshot: func(s *helmv2.Snapshot) { s.Digest = "" }, differs: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Release{Release: demo(3, release.StatusDeployed)}
			s := r.Snapshot(digest.SHA256, "")
			if tc.snapshot != nil {
				tc.snapshot(s)
			}
			if tc.release != nil {
				tc.release(r.Release)
			}
			err := r.Verify(s)
			if got := errors.Is(err, ErrDiffers); got != tc.differs || !got && err != nil {
				t.Errorf("Verify: %v; want that it differs: %t (%s)", err, tc.differs, tc.why)
			}
		})
	}
}

// resum gives a snapshot the digest of demo's version 3 by another algorithm or artifact.
func resum(algo digest.Algorithm, oci string) func(*helmv2.Snapshot) {
	return func(s *helmv2.Snapshot) {
		*s = *(&Release{Release: demo(3, release.StatusDeployed)}).Snapshot(algo, oci)
	}
}

// TestVerifyOfALaterHelm: what Helm 4 may tell of a release some day is in its digests.
func TestVerifyOfALaterHelm(t *testing.T) {
	t.Parallel()
	const js = `{"name":"demo","version":1,"namespace":"shop","manifest":"a: b\n","config":{},
		"info":{"last_deployed":"2026-11-23T20:40:53Z","deleted":"","status":"deployed","rolled_back":3},
		"chart":{"metadata":{"name":"app","version":"1.0.0","sponsor":"us"},"sponsor":"us"},
		"hooks":[{"name":"t","events":["test"],"more":2},{"name":"h","events":["pre-install"],"more":1}]}`
	const observed = `{"name":"demo","version":1,"info":{"last_deployed":"2026-11-23T20:40:53Z","status":"deployed","rolled_back":3},` +
		`"chartMetadata":{"name":"app","version":"1.0.0","sponsor":"us"},"config":null,"manifest":"a: b\n",` +
		`"hooks":[{"name":"h","events":["pre-install"],"last_run":{"phase":""},"more":1}],"namespace":"shop"}` + "\n"
	data, err := pack([]byte(js), -1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(newVault(holding(1, release.StatusDeployed, data)), "demo").Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := r.Snapshot(digest.SHA256, "")
	if err := r.Verify(s); err != nil {
		t.Errorf("our own digest does not fit: %v", err)
	}
	s.Digest = digest.FromString(observed).String()
	if err := r.Verify(s); err != nil {
		t.Errorf("the digest with all parts does not fit: %v", err)
	}
	s.Digest = digest.FromString(observed + " ").String()
	if err := r.Verify(s); !errors.Is(err, ErrDiffers) {
		t.Errorf("any digest fits: %v", err)
	}
}

func TestTestsInSnapshots(t *testing.T) {
	t.Parallel()
	rel := demo(1, release.StatusDeployed)
	r := &Release{Release: rel}
	if s := r.Snapshot(digest.SHA256, ""); s.HasBeenTested() {
		t.Errorf("tests that have not run count as run: %v", s.TestHooks)
	}
	started := rel.Info.LastDeployed
	rel.Hooks[1].LastRun = release.HookExecution{StartedAt: started, CompletedAt: started.Add(1e9), Phase: release.HookPhaseFailed}
	want := "demo-test:\n  lastCompleted: \"2026-11-23T20:40:02Z\"\n  lastStarted: \"2026-11-23T20:40:01Z\"\n  phase: Failed\n"
	s := r.Snapshot(digest.SHA256, "")
	if diff := cmp.Diff(want, toYAML(t, s.TestHooks)); diff != "" {
		t.Errorf("tests of the snapshot (-want +got):\n%s", diff)
	}
	rel.Hooks = rel.Hooks[:1]
	if tests := r.Tests(); tests == nil || len(tests) != 0 {
		t.Errorf("a release without tests has %v; want an empty map, not nil", tests)
	}
}

// TestRecordedReleasesAreKept writes each recorded release anew. Helm 4 must find in it
// what it wrote.
func TestRecordedReleasesAreKept(t *testing.T) {
	t.Parallel()
	secrets, history := recorded(t)
	v := newVault(secrets...)
	for _, s := range history {
		d := Open(v, s.Name).Driver(t.Context(), DriverOptions{Method: ClientSide})
		before := v.secret(t, s.Name, s.Version)
		rel, err := d.Get(keyOf(s.Name, s.Version))
		if err != nil {
			t.Fatal(err)
		}
		rel.Info.Status = release.StatusFailed
		update(t, d, rel)
		want := generic(t, before.Data[dataKey])
		want["info"].(map[string]any)["status"] = "failed"
		if diff := cmp.Diff(want, generic(t, v.secret(t, s.Name, s.Version).Data[dataKey])); diff != "" {
			t.Errorf("%s is stored otherwise (-before +after):\n%s", s.FullReleaseName(), diff)
		}
	}
}

// generic is the JSON that a Secret holds, without the empty times that only Helm 3 writes.
func generic(t *testing.T, data []byte) map[string]any {
	t.Helper()
	js, err := unpack(data)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(js, &all); err != nil {
		t.Fatal(err)
	}
	dropEmptyTimes(all)
	return all
}

func dropEmptyTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"first_deployed", "last_deployed", "deleted", "started_at", "completed_at"} {
			if v[name] == "" {
				delete(v, name)
			}
		}
		for _, inner := range v {
			dropEmptyTimes(inner)
		}
	case []any:
		for _, inner := range v {
			dropEmptyTimes(inner)
		}
	}
}

// toYAML is an object as a reader of its status sees it.
func toYAML(t *testing.T, v any) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
