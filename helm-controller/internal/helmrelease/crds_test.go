package helmrelease_test

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/charttest"
)

// defining is the operator in a version that its definitions tell.
func (w *world) defining(version string) *charttest.Chart {
	w.t.Helper()
	return w.shared("operator").At(version).Replace("listKind: WidgetList", "listKind: WidgetList\n    categories: [v"+strings.ReplaceAll(version, ".", "-")+"]")
}

// defined is the version of the chart that the definition of widgets is of; "" if there is none.
func (w *world) defined() string {
	w.t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "widgets." + w.group()}}
	if !w.Get(crd) {
		return ""
	}
	return strings.Join(crd.Spec.Names.Categories, " ")
}

// TestDefinitionsByPolicy: those of the crds folder are created or brought up to date as the
// action says, and never deleted.
func TestDefinitionsByPolicy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why           string
		exists        bool // before the installation, of a version that nobody releases
		install       helmv2.Install
		upgrade       helmv2.Upgrade
		first, second string
	}{
		"by default": {
			why:   "what is there may be used by others",
			first: "v1-0-0", second: "v1-0-0",
		},
		"by default, where it exists": {
			why: "it is left", exists: true,
			first: "v0-1-0", second: "v0-1-0",
		},
		"skipped": {
			why:     "somebody else sees to definitions",
			install: helmv2.Install{CRDs: helmv2.Skip}, upgrade: helmv2.Upgrade{CRDs: helmv2.Skip},
		},
		"skipped in the older way": {
			why:     "the upgrade says nothing, and creates what is missing",
			install: helmv2.Install{SkipCRDs: true}, second: "v1-1-0",
		},
		"skipped in the older way, created in the newer": {
			why:     "the newer way counts",
			install: helmv2.Install{SkipCRDs: true, CRDs: helmv2.Create}, upgrade: helmv2.Upgrade{CRDs: helmv2.Create},
			first: "v1-0-0", second: "v1-0-0",
		},
		"replaced by the installation": {
			why: "only what was asked for is done", exists: true,
			install: helmv2.Install{CRDs: helmv2.CreateReplace}, upgrade: helmv2.Upgrade{CRDs: helmv2.Skip},
			first: "v1-0-0", second: "v1-0-0",
		},
		"replaced by the upgrade": {
			why: "it is as of the chart", exists: true,
			install: helmv2.Install{CRDs: helmv2.Skip}, upgrade: helmv2.Upgrade{CRDs: helmv2.CreateReplace},
			first: "v0-1-0", second: "v1-1-0",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.exists {
				w.publish(w.defining("0.1.0"))
				before := w.release("before", values("widgets: []"))
				w.waitReleased(before, 1)
				w.expectUninstalled(before)
			}
			w.publish(w.defining("1.0.0"))
			hr := w.release("app", values("widgets: []"), func(s *helmv2.HelmReleaseSpec) { s.Install, s.Upgrade = &tc.install, &tc.upgrade })
			w.waitReleased(hr, 1)
			if got := w.defined(); got != tc.first {
				t.Errorf("after the installation, the definition is %q; want %q (%s)", got, tc.first, tc.why)
			}
			w.publish(w.defining("1.1.0"))
			w.waitReleased(hr, 2)
			if got := w.defined(); got != tc.second {
				t.Errorf("after the upgrade, the definition is %q; want %q (%s)", got, tc.second, tc.why)
			}
			w.expectUninstalled(hr)
			if got := w.defined(); got != tc.second {
				t.Errorf("after the uninstallation, the definition is %q; want %q (%s)", got, tc.second, tc.why)
			}
		})
	}
}

// TestKindsAreFoundOnceTheyAreServed, whatever is said of the client: a kind that was unknown
// is not so for good.
func TestKindsAreFoundOnceTheyAreServed(t *testing.T) {
	t.Parallel()
	no, yes := false, true
	for name, persistent := range map[string]*bool{"unsaid": nil, "persistent": &yes, "not persistent": &no} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish(w.shared("operator"))
			hr := w.release("app", func(s *helmv2.HelmReleaseSpec) {
				s.PersistentClient, s.Install = persistent, &helmv2.Install{CRDs: helmv2.Skip}
			})
			w.waitMessage(hr, helmv2.ConditionReady, "Widget")
			if ready(hr) {
				t.Error("it is Ready without its definitions")
			}
			other := w.release("other", values("widgets: []"))
			w.waitReleased(other, 1)
			w.Poke(hr) // not to wait for the next attempt
			w.Wait("Ready", hr, func() bool { return ready(hr) })
			if !w.Get(w.widget("app-small")) {
				t.Error("the Widget is not there")
			}
		})
	}
}
