package action

import (
	"fmt"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/client-go/kubernetes/fake"

	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
)

// TestEarlierReleasesHaveBounds: a tenant decides how many have failed, and how large they
// are.
func TestEarlierReleasesHaveBounds(t *testing.T) {
	t.Parallel()
	large := func(version int) string { return fmt.Sprint("# ", version, strings.Repeat("#", maxManifests/4)) }
	tests := map[string]struct {
		why      string
		versions int
		manifest func(version int) string
		want     int // manifests
		deployed int // a version
		told     bool
	}{
		"as it goes":    {"three have failed, made of the same twice", 6, func(version int) string { return fmt.Sprint("# ", version/5) }, 2, 3, false},
		"the newest is": {"the SDK knows of it", 3, large, 0, 3, false},
		"too large":     {"they would not fit into memory", 9, large, 4, 0, true},
		"too many":      {"each costs a request", maxEarlier + 10, func(int) string { return "# same" }, 1, 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := fake.NewClientset().CoreV1().Secrets("shop")
			store := releases.Open(secrets, "demo").Driver(t.Context(), releases.DriverOptions{})
			for version := 1; version <= tc.versions; version++ {
				rel := &release.Release{
					Name: "demo", Version: version, Info: &release.Info{Status: release.StatusFailed},
					Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "app"}}, Manifest: tc.manifest(version),
				}
				if version == tc.deployed {
					rel.Info.Status = release.StatusDeployed
				}
				if err := store.Create(fmt.Sprintf("sh.helm.release.v1.demo.v%d", version), rel); err != nil {
					t.Fatal(err)
				}
			}
			d := begin(t.Context(), Env{History: releases.Open(secrets, "demo")}, plan.Upgrade, Input{})
			defer d.end()
			got := d.earlier()
			if len(got) != tc.want {
				t.Errorf("%d manifests; want %d: %s", len(got), tc.want, tc.why)
			}
			if told := len(d.logs.all()) > 0; told != tc.told {
				t.Errorf("the log has %q; want it to tell: %t", d.logs.all(), tc.told)
			}
		})
	}
}
