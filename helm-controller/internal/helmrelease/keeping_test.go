package helmrelease_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
)

// TestSoManyReleasesAreKept as the spec says, the newest.
func TestSoManyReleasesAreKept(t *testing.T) {
	t.Parallel()
	const made = 7
	some := func(n int) *int { return &n }
	for name, tc := range map[string]struct {
		max  *int
		want int
	}{"unsaid": {want: 5}, "two": {max: some(2), want: 2}, "all": {max: some(0), want: made}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(demo(t, "1.0.0"))
			hr := w.release("app", values("k: '1'"), func(s *helmv2.HelmReleaseSpec) { s.MaxHistory = tc.max })
			for n := 1; n < made; n++ {
				w.waitReleased(hr, n)
				w.change(hr, values("k: '"+strconv.Itoa(n+1)+"'"))
			}
			w.waitReleased(hr, made)
			var want []string
			for n := made - tc.want + 1; n < made; n++ {
				want = append(want, fmt.Sprintf("%d superseded", n))
			}
			if diff := cmp.Diff(append(want, fmt.Sprintf("%d deployed", made)), w.stored("app")); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNamesOfReleasesAreNotTakenUnlessAsked: the history of a release that was uninstalled is
// somebody's.
func TestNamesOfReleasesAreNotTakenUnlessAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(demo(t, "1.0.0"))
	hr := w.release("app", func(s *helmv2.HelmReleaseSpec) { s.Uninstall = &helmv2.Uninstall{KeepHistory: true} })
	w.waitReleased(hr, 1)
	if err := w.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(hr)
	again := w.release("app")
	c := w.WaitCondition(again, helmv2.ConditionReady, metav1.ConditionFalse, helmv2.ReasonInstallFailed)
	if !strings.Contains(c.Message, "cannot re-use a name that is still in use") {
		t.Errorf("Ready says %q; want it to say what is in the way", c.Message)
	}
	if got := w.stored("app"); !slices.Equal(got, []string{"1 uninstalled"}) {
		t.Errorf("stored are %q; want what was kept", got)
	}
	w.change(again, func(s *helmv2.HelmReleaseSpec) { s.Install = &helmv2.Install{Replace: true} })
	w.waitReleased(again, 2)
	w.expectValue("app", "1")
}
