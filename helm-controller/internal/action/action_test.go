package action_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"helm.sh/helm/v3/pkg/chart"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
)

var errBroken = errors.New("the line is broken")

func TestInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.state(); got != state.Absent {
		t.Fatalf("before, the release is %s", got)
	}
	res := w.must(plan.Install)
	w.is("stored", w.stored(), "1 deployed")
	w.is("history", w.remembered(), "1 deployed install")
	w.is("changes", effects(res.Changes), "ConfigMap fixed created", "ConfigMap settings created")
	if s := res.Snapshots[0]; s.ConfigDigest != w.wanted().ConfigDigest || s.ChartVersion != "1.0.0" || s.AppVersion != "7" {
		t.Errorf("the snapshot is %+v", s)
	}
	id := manifest.ID{Kind: "ConfigMap", Namespace: w.Namespace, Name: "settings"}
	if len(res.Inventory) != 2 || res.Inventory[id] != "v1" {
		t.Errorf("the inventory is %v", res.Inventory)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "settings"}}
	w.Get(cm)
	if cm.Labels[helmv2.LabelName] != "app" || cm.Labels["app.kubernetes.io/managed-by"] != "Helm" {
		t.Errorf("the labels are %v", cm.Labels)
	}
	if got := w.state(); got != state.InSync {
		t.Errorf("after, the release is %s", got)
	}
	if !res.Wrote || len(res.Logs) == 0 || len(res.Logs) > 10 || res.Took <= 0 {
		t.Errorf("wrote %t, %d lines of the log, took %s", res.Wrote, len(res.Logs), res.Took)
	}
}

func TestInstallCreatesTheNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := w.Namespace + "-target"
	w.hr.Spec.TargetNamespace = target
	w.says(w.do(plan.Install).Err, target)
	w.process.history = nil
	if w.do(plan.Uninstall).Err != nil {
		t.Fatal("the failed release could not be uninstalled")
	}
	w.hr.Status.History = nil
	w.hr.Spec.Install = &helmv2.Install{CreateNamespace: true}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: target}}
	t.Cleanup(func() { _ = w.Client.Delete(t.Context(), ns) })
	w.must(plan.Install)
	if !w.Get(ns) {
		t.Fatal("the namespace was not created")
	}
	if ns.Labels[helmv2.LabelName] != "" {
		t.Errorf("the namespace is said to be of the release: %v", ns.Labels)
	}
	w.must(plan.Uninstall)
	if !w.Get(ns) || ns.DeletionTimestamp != nil {
		t.Error("the namespace went with the release")
	}
}

func TestUpgradeSendsWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(plan.Install)
	w.values = map[string]any{"value": "two"}
	if got := w.state(); got != state.OutOfSync {
		t.Fatalf("with other values, the release is %s", got)
	}
	w.Traffic.Reset()
	res := w.must(plan.Upgrade)
	w.is("stored", w.stored(), "2 deployed", "1 superseded")
	w.is("history", w.remembered(), "2 deployed upgrade", "1 superseded install")
	w.is("changes", effects(res.Changes), "ConfigMap settings configured")
	if n := w.Traffic.Count(testplane.Writes("configmaps")); n != 1 {
		t.Errorf("%d writes of ConfigMaps, want 1", n)
	}
	if got := w.state(); got != state.InSync || w.value("settings") != "two" {
		t.Errorf("the release is %s, and the value %q", got, w.value("settings"))
	}
}

// TestInventoryOfAFailure: what was there before is still there, for all that is known.
func TestInventoryOfAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hr.Status.Inventory = &helmv2.ResourceInventory{Entries: inventory.Encode[helmv2.ResourceRef](w.must(plan.Install).Inventory)}
	w.templates = []string{configMap("other", "x"), refused}
	res := w.do(plan.Upgrade)
	var names []string
	for _, id := range res.Inventory.IDs() {
		names = append(names, id.Name)
	}
	slices.Sort(names)
	w.is("inventory", names, "fixed", "other", "refused", "settings")
}

// TestFailures: what fails says what and where, and is counted only if it has begun.
func TestFailures(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse"
	tests := map[string]struct {
		why    string
		given  func(*world)
		says   []string
		not    []string
		begun  bool // a release was stored
		panics bool
	}{
		"template": {
			why:   "the template and the line tell where to look",
			given: func(w *world) { w.templates = append(w.templates, "a: 1\nb: {{ .Values.none.of }}\n") },
			says:  []string{"templates/002.yaml", ":2:"},
		},
		"function": {
			why:   "values of Secrets are shown to nobody",
			given: func(w *world) { w.templates = append(w.templates, `{{ fail (printf "no %s" .Values.password) }}`) },
			says:  []string{"templates/002.yaml", "no ***"},
			not:   []string{secret},
		},
		"schema": {
			why: "it quotes what it does not like",
			given: func(w *world) {
				w.schema = `{"properties": {"password": {"type": "string", "pattern": "^[0-9]+$"}, "value": {"type": "integer"}}}`
			},
			says: []string{"demo", "/value", "/password"},
			not:  []string{secret},
		},
		"YAML": {
			why:   "a template may render nonsense",
			given: func(w *world) { w.templates = append(w.templates, "a: b: c\n") },
			says:  []string{"002.yaml"},
		},
		"kind": {
			why: "it is not served",
			given: func(w *world) {
				w.templates = append(w.templates, "apiVersion: v1\nkind: Nonesuch\nmetadata: {name: a}\n")
			},
			says: []string{"Nonesuch"},
		},
		"panic": {
			why:   "nothing takes the process down",
			given: func(w *world) { w.gone = func() *chart.Chart { panic("oh no: " + secret) } },
			says:  []string{"panic", "oh no"},
			not:   []string{secret},
		},
		"object": {
			why:   "the API server has the last word",
			given: func(w *world) { w.templates = append(w.templates, refused) },
			says:  []string{"refused", "99999"},
			begun: true,
		},
		"hook": {
			why: "what comes after is not done",
			given: func(w *world) {
				w.templates = append(w.templates, strings.Replace(refused, "{name: refused}", "{name: refused, "+hook("pre-install,pre-upgrade")+"}", 1))
			},
			says:  []string{"pre-", "refused"},
			begun: true,
		},
	}
	for name, tc := range tests {
		for _, what := range []plan.Action{plan.Install, plan.Upgrade} {
			t.Run(name+" "+what.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if what == plan.Upgrade {
					w.must(plan.Install)
				}
				w.values = map[string]any{"value": "two", "password": secret}
				w.sensitive = action.Sensitive(map[string]any{"password": secret})
				tc.given(w)
				res := w.do(what)
				w.says(res.Err, tc.says...)
				for _, text := range tc.not {
					if strings.Contains(res.Err.Error()+strings.Join(res.Logs, "\n"), text) {
						t.Errorf("%q is shown: %s: %v\n%q", text, tc.why, res.Err, res.Logs)
					}
				}
				if res.Wrote != tc.begun {
					t.Errorf("wrote %t, want %t: %s", res.Wrote, tc.begun, tc.why)
				}
				if !tc.begun {
					return
				}
				if got := w.state(); got != state.Failed {
					t.Errorf("the release is %s: %s", got, tc.why)
				}
			})
		}
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(plan.Install, func(in *action.Input) { in.OCIDigest = "sha256:old" })
	w.values = map[string]any{"value": "two"}
	w.templates = append(w.templates, refused)
	if w.do(plan.Upgrade, func(in *action.Input) { in.OCIDigest = "sha256:new" }).Err == nil {
		t.Fatal("the upgrade succeeded")
	}
	found, err := w.observe()
	if err != nil || found.State != state.Failed || found.Previous == nil || !found.Sound || found.Remediated {
		t.Fatalf("after the upgrade: %+v, %v", found, err)
	}
	w.must(plan.Rollback, func(in *action.Input) { in.Target = found.Previous })
	w.is("stored", w.stored(), "3 deployed", "2 failed", "1 superseded")
	w.is("history", w.remembered(), "3 deployed rollback", "2 failed upgrade", "1 superseded install")
	if s := w.hr.Status.History[0]; s.OCIDigest != "sha256:old" || w.value("settings") != "one" {
		t.Errorf("rolled back to %+v, with value %q", s, w.value("settings"))
	}
	found, err = w.observe()
	if err != nil || found.State != state.OutOfSync || !found.Remediated {
		t.Errorf("after the rollback: %+v, %v", found, err)
	}
}

// TestErrorsTellNoEarlierSecrets: a Secret that values came from has changed since, and what
// is stored of the release has what it was.
func TestErrorsTellNoEarlierSecrets(t *testing.T) {
	t.Parallel()
	for _, what := range []plan.Action{plan.Rollback, plan.Uninstall} {
		t.Run(what.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *helmv2.HelmReleaseSpec) {
				s.ValuesFrom = []meta.ValuesReference{{Kind: "Secret", Name: "secret"}}
			})
			w.values = map[string]any{"value": "one", "password": "Was_Secret", "plain": "Plain_Text"}
			w.templates = append(w.templates, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Values.password }}-{{ .Values.plain }}', "+hook("pre-rollback,pre-delete")+"}\n")
			w.must(plan.Install)
			target := w.hr.Status.History[0]
			w.values = map[string]any{"value": "one", "password": "Is_Secret", "plain": "Plain_Text"}
			w.sensitive = []string{"Is_Secret"}
			if what == plan.Rollback {
				w.templates = append(w.templates, refused)
				if w.do(plan.Upgrade).Err == nil {
					t.Fatal("the upgrade succeeded")
				}
			}
			res := w.do(what, func(in *action.Input) { in.Target = target })
			w.says(res.Err, "***-Plain_Text")
			for _, text := range append(res.Logs, res.Err.Error()) {
				if strings.Contains(text, "Was_Secret") {
					t.Errorf("what the Secret was is told: %q", text)
				}
			}
		})
	}
}

// TestRollbackWhoseHookFails: the SDK leaves the release in between.
func TestRollbackWhoseHookFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.templates = append(w.templates, strings.Replace(refused, "{name: refused}", "{name: refused, "+hook("post-rollback")+"}", 1))
	w.must(plan.Install)
	target := w.hr.Status.History[0]
	w.values = map[string]any{"value": "two"}
	w.must(plan.Upgrade)
	res := w.do(plan.Rollback, func(in *action.Input) { in.Target = target })
	w.says(res.Err, "refused")
	if got := w.stored()[0]; got != "3 failed" {
		t.Errorf("the release was left as %q", got)
	}
	if got := w.state(); got != state.Failed {
		t.Errorf("the release is %s", got)
	}
}

func TestLostTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(plan.Install)
	w.templates = append(w.templates, refused)
	w.do(plan.Upgrade)
	first := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "sh.helm.release.v1.app.v1"}}
	if err := w.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.process.history = nil
	found, err := w.observe()
	if err != nil || found.State != state.Failed || found.Previous == nil || found.Sound {
		t.Errorf("without its Secret: %+v, %v", found, err)
	}
}

func TestUninstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.templates = append(w.templates, configMap("kept", "x", `annotations: {"helm.sh/resource-policy": keep}`))
	w.must(plan.Install)
	res := w.must(plan.UninstallRemediation)
	w.is("stored", w.stored())
	w.is("history", w.remembered(), "1 uninstalled install")
	w.is("changes", effects(res.Changes), "ConfigMap fixed deleted", "ConfigMap settings deleted")
	if res.Inventory == nil || len(res.Inventory) != 0 || w.value("settings") != "" || w.value("kept") != "x" {
		t.Errorf("the inventory is %v, values %q and %q", res.Inventory, w.value("settings"), w.value("kept"))
	}
	found, err := w.observe()
	if err != nil || found.State != state.Absent || !found.Remediated {
		t.Errorf("after: %+v, %v", found, err)
	}
	if res := w.must(plan.Uninstall); !res.Absent || res.Wrote {
		t.Errorf("once more: %+v", res)
	}
}

func TestUninstallKeepsHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *helmv2.HelmReleaseSpec) {
		s.Uninstall = &helmv2.Uninstall{KeepHistory: true}
		s.Install = &helmv2.Install{Replace: true}
	})
	w.must(plan.Install)
	w.must(plan.UninstallRemediation)
	w.is("stored", w.stored(), "1 uninstalled")
	if got := w.state(); got != state.Absent {
		t.Errorf("the release is %s", got)
	}
	if res := w.must(plan.Uninstall); !res.Absent {
		t.Errorf("once more: %+v", res)
	}
	w.must(plan.Install)
	w.is("stored", w.stored(), "2 deployed", "1 superseded")
	if got := w.state(); got != state.InSync {
		t.Errorf("after it was installed again, the release is %s", got)
	}
}

// TestUninstallThatFails: the SDK tells only the log why.
func TestUninstallThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(plan.Install)
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Method == http.MethodDelete && r.Resource == "configmaps" {
			return errBroken
		}
		return nil
	})
	res := w.do(plan.UninstallRemediation)
	w.Traffic.Break(nil)
	w.says(res.Err, "settings", errBroken.Error())
	if got := w.state(); got != state.Locked {
		t.Fatalf("the release is %s, and %v is stored", got, w.stored())
	}
	w.must(plan.Unlock)
	found, err := w.observe()
	if err != nil || found.State != state.Failed || !found.Remediated {
		t.Errorf("once unlocked: %+v, %v", found, err)
	}
	w.must(plan.UninstallRemediation)
	w.is("stored", w.stored())
}

func TestTests(t *testing.T) {
	t.Parallel()
	test := func(name, value string) string { return configMap(name, value, hook("test")) }
	failing := strings.Replace(refused, "{name: refused}", "{name: refused, "+hook("test")+"}", 1)
	tests := map[string]struct {
		why       string
		templates []string
		filters   []helmv2.Filter
		fails     bool
		state     state.State
		ran       []string
	}{
		"none":     {why: "nothing is untested", state: state.InSync},
		"passes":   {why: "", templates: []string{test("a", "x")}, state: state.InSync, ran: []string{"a"}},
		"fails":    {why: "", templates: []string{failing}, fails: true, state: state.Failed, ran: []string{"refused"}},
		"excluded": {why: "it is not run", templates: []string{test("a", "x"), failing}, filters: []helmv2.Filter{{Name: "refused", Exclude: true}}, state: state.InSync, ran: []string{"a"}},
		"selected": {why: "nothing else is run", templates: []string{failing, test("a", "x"), test("b", "x")}, filters: []helmv2.Filter{{Name: "b"}}, state: state.InSync, ran: []string{"b"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *helmv2.HelmReleaseSpec) { s.Test = &helmv2.Test{Enable: true, Filters: &tc.filters} })
			w.templates = append(append(w.templates, configMap("before", "x", hook("pre-upgrade"))), tc.templates...)
			w.must(plan.Install)
			if got := w.state(); got != state.Untested {
				t.Fatalf("before, the release is %s", got)
			}
			res := w.do(plan.Test)
			if (res.Err != nil) != tc.fails || res.Tests != len(tc.templates) {
				t.Errorf("%d tests: %v: %s", res.Tests, res.Err, tc.why)
			}
			if got := w.state(); got != tc.state {
				t.Errorf("the release is %s, want %s: %s", got, tc.state, tc.why)
			}
			s := w.hr.Status.History[0]
			if s.TestHooks == nil {
				t.Fatal("the snapshot says that no tests have run")
			}
			var ran []string
			for name, h := range *s.TestHooks {
				if h.Phase != "" {
					ran = append(ran, name)
				}
			}
			slices.Sort(ran)
			w.is("ran", ran, tc.ran...)
			w.restart() // the stored release must be the one that was recorded
			if got := w.state(); got != tc.state {
				t.Errorf("after a restart, the release is %s, want %s", got, tc.state)
			}
		})
	}
}

// TestMethod: a release that helm made client-side stays so, and force counts only there.
func TestMethod(t *testing.T) {
	t.Parallel()
	no := false
	w := newWorld(t, func(s *helmv2.HelmReleaseSpec) {
		s.Install = &helmv2.Install{ServerSideApply: &no}
	})
	w.must(plan.Install)
	method := func() string {
		last, err := w.storage().Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return string(last.Method)
	}
	if got := method(); got != "csa" {
		t.Errorf("installed by %q", got)
	}
	w.values = map[string]any{"value": "two"}
	w.must(plan.Upgrade)
	if got := method(); got != "csa" || w.value("settings") != "two" {
		t.Errorf("upgraded by %q to %q", got, w.value("settings"))
	}
	w.hr.Spec.Upgrade = &helmv2.Upgrade{ServerSideApply: helmv2.ServerSideApplyEnabled}
	w.values = map[string]any{"value": "three"}
	w.must(plan.Upgrade)
	if got := method(); got != "ssa" || w.value("settings") != "three" {
		t.Errorf("upgraded by %q to %q", got, w.value("settings"))
	}
	w.hr.Spec.Upgrade = nil
	w.values = map[string]any{"value": "four"}
	w.must(plan.Upgrade)
	if got := method(); got != "ssa" {
		t.Errorf("upgraded by %q", got)
	}
}

// TestLargeNumbers: the storage has no whole numbers beyond 2^53, so the release would never
// be what was asked for if that were read back.
func TestLargeNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, a := range []plan.Action{plan.Install, plan.Upgrade} {
		w.values = map[string]any{"big": int64(1<<53 + 1), "for": a.String()}
		w.must(a)
		if got := w.state(); got != state.InSync {
			t.Errorf("after the %s, the release is %s", a, got)
		}
	}
}

// TestPreservedValues: the release has more values than were asked for, and yet is of those.
func TestPreservedValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *helmv2.HelmReleaseSpec) { s.Upgrade = &helmv2.Upgrade{PreserveValues: true} })
	w.must(plan.Install)
	w.values = map[string]any{"more": "x"}
	w.must(plan.Upgrade)
	last, err := w.storage().Last(t.Context())
	if err != nil || last.Config["value"] != "one" || last.Config["more"] != "x" {
		t.Errorf("the values are %v, %v", last.Config, err)
	}
	if got := w.state(); got != state.InSync {
		t.Errorf("the release is %s", got)
	}
	if want := values.Digest("sha256", w.values); w.hr.Status.History[0].ConfigDigest != want {
		t.Errorf("the digest is %s, want %s", w.hr.Status.History[0].ConfigDigest, want)
	}
	w.hr.Spec.Upgrade = nil
	w.must(plan.Upgrade)
	if last, err = w.storage().Last(t.Context()); err != nil || last.Config["value"] != nil {
		t.Errorf("without being asked to, it preserved %v, %v", last.Config, err)
	}
}
