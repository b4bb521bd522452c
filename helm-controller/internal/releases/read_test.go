package releases

import (
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	corev1 "k8s.io/api/core/v1"
)

// swollen are Secrets of versions that failed, each of which unpacks to more than so many
// bytes, and is small as it is stored.
func swollen(t *testing.T, versions, size int) []*corev1.Secret {
	t.Helper()
	manifest := strings.Repeat("#", size)
	out := make([]*corev1.Secret, 0, versions)
	for version := range versions {
		rel := demo(version+1, release.StatusFailed)
		rel.Manifest = manifest
		out = append(out, stored(t, rel))
	}
	return out
}

// dense are Secrets of versions that failed, each of which takes so many bytes and more as
// it is stored.
func dense(t *testing.T, versions, size int) []*corev1.Secret {
	t.Helper()
	noise := make([]byte, size)
	if _, err := rand.NewChaCha8([32]byte{}).Read(noise); err != nil {
		t.Fatal(err)
	}
	out := make([]*corev1.Secret, 0, versions)
	for version := range versions {
		rel := demo(version+1, release.StatusFailed)
		rel.Manifest = base64.StdEncoding.EncodeToString(noise)
		out = append(out, stored(t, rel))
	}
	return out
}

// remembered returns what a History has in memory of versions besides the newest, unpacked
// and as it is stored.
func remembered(h *History) (unpacked, packed int) {
	for i, s := range newestFirst(h.stored) {
		if i > 0 {
			unpacked, packed = unpacked+s.size(), packed+len(s.data)
		}
	}
	return unpacked, packed
}

// TestOldVersionsAreLookedAtOneByOne: a tenant decides how many there are, and how large.
func TestOldVersionsAreLookedAtOneByOne(t *testing.T) {
	t.Parallel()
	const versions, size = 6, 3 << 20
	for name, open := range map[string]func(*testing.T, *vault) *History{
		"watched":     func(t *testing.T, v *vault) *History { return watched(t, v).Open(v, namespace, "demo") },
		"not watched": func(_ *testing.T, v *vault) *History { return Open(v, "demo") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, newVault(swollen(t, versions, size)...))
			seen := 0
			for r, err := range h.Each(t.Context()) {
				if err != nil || r.Version != versions-seen || len(r.Manifest) != size {
					t.Fatalf("%v comes as number %d: %v", r, seen, err)
				}
				seen++
				if unpacked, _ := remembered(h); unpacked > 0 {
					t.Fatalf("%d bytes of old versions are remembered", unpacked)
				}
			}
			if seen != versions {
				t.Errorf("there were %d versions; want %d", seen, versions)
			}
			for version := range versions {
				if r, err := h.Get(t.Context(), version+1); err != nil || len(r.Manifest) != size {
					t.Errorf("version %d: %v", version+1, err)
				}
			}
			if unpacked, _ := remembered(h); unpacked > maxKept {
				t.Errorf("%d bytes of old versions are remembered; want %d at most", unpacked, maxKept)
			}
		})
	}
}

// TestEachReadsNoMoreThanIsWanted: who has seen enough costs nothing more.
func TestEachReadsNoMoreThanIsWanted(t *testing.T) {
	t.Parallel()
	v := newVault(swollen(t, 9, 1)...)
	h := watched(t, v).Open(v, namespace, "demo")
	for r, err := range h.Each(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Version == 7 {
			break
		}
	}
	if diff := cmp.Diff(map[string]int{"get": 3}, v.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestEachGoesOnAfterACorruptVersion: one does not hide the others.
func TestEachGoesOnAfterACorruptVersion(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusDeployed)), holding(2, release.StatusFailed, []byte("%")), stored(t, demo(3, release.StatusFailed)))
	var got []int
	for r, err := range Open(v, "demo").Each(t.Context()) {
		switch {
		case errors.Is(err, ErrCorrupt):
			got = append(got, 0)
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, r.Version)
		}
	}
	if diff := cmp.Diff([]int{3, 0, 1}, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

// TestVersionsThatAreTooLargeTogether are refused where all of them are asked for.
func TestVersionsThatAreTooLargeTogether(t *testing.T) {
	t.Parallel()
	secrets := swollen(t, maxTogether/maxJSON+1, maxJSON-1<<20)
	for _, s := range secrets {
		s.Labels[statusLabel] = release.StatusDeployed.String() // which only the label says
	}
	v := newVault(secrets...)
	if _, err := Open(v, "demo").All(t.Context()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("All: %v", err)
	}
	if _, err := storage.Init(Open(v, "demo").Driver(t.Context(), DriverOptions{})).DeployedAll("demo"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("DeployedAll: %v", err)
	}
}

// TestForgottenVersionsAreReadAgain: what is stored is too large to be remembered, and is
// changed all the same, unless somebody else has changed it meanwhile.
func TestForgottenVersionsAreReadAgain(t *testing.T) {
	t.Parallel()
	const versions = 8
	secrets := dense(t, versions, 700<<10)
	for _, s := range secrets {
		s.Annotations = map[string]string{"note": "x"}
	}
	v := newVault(secrets...)
	h := Open(v, "demo")
	d := h.Driver(t.Context(), DriverOptions{})
	if _, err := h.Last(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, packed := remembered(h); packed > maxKept || packed == 0 {
		t.Fatalf("%d bytes of old versions are remembered; want some, and %d at most", packed, maxKept)
	}
	for _, version := range []int{1, 2} {
		rel, err := d.Get(keyOf("demo", version))
		if err != nil {
			t.Fatal(err)
		}
		if version == 2 {
			s := v.secret(t, "demo", version)
			s.Data[dataKey] = append(s.Data[dataKey], '\n')
			put(t, v, s)
		}
		rel.Info.Status = release.StatusSuperseded
		err = d.Update(keyOf("demo", version), rel)
		if changed := errors.Is(err, ErrChanged); changed != (version == 2) || err != nil && !changed {
			t.Errorf("version %d: %v", version, err)
		}
	}
	s := v.secret(t, "demo", 1)
	if s.Labels[statusLabel] != release.StatusSuperseded.String() || s.Annotations["note"] != "x" {
		t.Errorf("the Secret has labels %v and annotations %v", s.Labels, s.Annotations)
	}
}
