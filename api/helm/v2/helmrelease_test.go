package v2_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	helmv2 "weir.dev/api/helm/v2"
)

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := helmv2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for kind, obj := range map[string]runtime.Object{"HelmRelease": &helmv2.HelmRelease{}, "HelmReleaseList": &helmv2.HelmReleaseList{}} {
		got, _, err := scheme.ObjectKinds(obj)
		want := []schema.GroupVersionKind{{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: kind}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("kinds of %T: %v (-want +got):\n%s", obj, err, diff)
		}
	}
}

func TestHelmReleaseAccessors(t *testing.T) {
	conditions := []metav1.Condition{{Type: helmv2.ConditionReady, Status: metav1.ConditionTrue, Reason: helmv2.ReasonInstallSucceeded}}
	got := &helmv2.HelmRelease{Spec: helmv2.HelmReleaseSpec{
		Suspend: true, Interval: metav1.Duration{Duration: time.Hour}, DependsOn: []meta.DependencyReference{{Name: "database"}},
	}}
	got.SetConditions(conditions)
	got.SetObservedGeneration(7)
	got.SetLastHandledReconcileAt("token")
	want := helmv2.HelmReleaseStatus{
		Conditions:             conditions,
		ObservedGeneration:     7,
		ReconcileRequestStatus: meta.ReconcileRequestStatus{LastHandledReconcileAt: "token"},
	}
	if diff := cmp.Diff(want, got.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(conditions, got.GetConditions()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if !got.IsSuspended() || got.GetInterval() != time.Hour || got.GetObservedGeneration() != 7 || got.GetLastHandledReconcileAt() != "token" {
		t.Errorf("accessors say other than the object: %+v", got)
	}
}

func TestHelmReleaseNames(t *testing.T) {
	type names struct{ Release, ReleaseNamespace, StorageNamespace, Chart string }
	long := strings.Repeat("n", 50)
	tests := map[string]struct {
		why  string
		name string
		in   helmv2.HelmReleaseSpec
		want names
	}{
		"are those of the object": {
			name: "demo",
			want: names{Release: "demo", ReleaseNamespace: "apps", StorageNamespace: "apps", Chart: "apps-demo"},
		},
		"have the target namespace": {
			why: "releases of two namespaces must not share one name in storage", name: "demo",
			in:   helmv2.HelmReleaseSpec{TargetNamespace: "shop"},
			want: names{Release: "shop-demo", ReleaseNamespace: "shop", StorageNamespace: "apps", Chart: "apps-demo"},
		},
		"are those of the spec": {
			name: "demo",
			in:   helmv2.HelmReleaseSpec{ReleaseName: "web", TargetNamespace: "shop", StorageNamespace: "helm"},
			want: names{Release: "web", ReleaseNamespace: "shop", StorageNamespace: "helm", Chart: "apps-demo"},
		},
		"are as long as Helm takes": {
			name: long[:48], in: helmv2.HelmReleaseSpec{TargetNamespace: "shop"},
			want: names{Release: "shop-" + long[:48], ReleaseNamespace: "shop", StorageNamespace: "apps", Chart: "apps-" + long[:48]},
		},
		"are shortened with a hash of the whole": {
			why: "two long names may begin alike", name: long, in: helmv2.HelmReleaseSpec{TargetNamespace: "shop"},
			want: names{Release: "shop-" + long[:35] + "-f34b25a48775", ReleaseNamespace: "shop", StorageNamespace: "apps", Chart: "apps-" + long},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: tc.name}, Spec: tc.in}
			got := names{Release: h.GetReleaseName(), ReleaseNamespace: h.GetReleaseNamespace(), StorageNamespace: h.GetStorageNamespace(), Chart: h.GetHelmChartName()}
			if got != tc.want {
				t.Errorf("names are %+v, want %+v (%s)", got, tc.want, tc.why)
			}
		})
	}
}

// settings are what the accessors make of a spec.
type settings struct {
	Timeout, ChartInterval, Install, Upgrade, Test, Rollback, Uninstall time.Duration
	InstallRetry, UpgradeRetry                                          time.Duration
	MaxHistory                                                          int
	InstallServerSide                                                   bool
	InstallCRDs, UpgradeCRDs                                            helmv2.CRDsPolicy
	UpgradeServerSide, RollbackServerSide                               helmv2.ServerSideApplyMode
	InstallStrategy, UpgradeStrategy                                    helmv2.StrategyName
	ChartName                                                           helmv2.ChartNameChangeStrategy
	PostRender                                                          helmv2.PostRenderStrategy
	Wait                                                                helmv2.WaitStrategyName
	Drift                                                               helmv2.DriftDetectionMode
	Propagation                                                         string
	Filters                                                             int
}

func settingsOf(h *helmv2.HelmRelease) settings {
	install, upgrade, rollback, uninstall := h.GetInstall(), h.GetUpgrade(), h.GetRollback(), h.GetUninstall()
	return settings{
		Timeout: h.GetTimeout(), ChartInterval: h.Spec.Chart.GetInterval(h.GetInterval()),
		Install: install.GetTimeout(h.GetTimeout()), Upgrade: upgrade.GetTimeout(h.GetTimeout()), Test: h.GetTest().GetTimeout(h.GetTimeout()),
		Rollback: rollback.GetTimeout(h.GetTimeout()), Uninstall: uninstall.GetTimeout(h.GetTimeout()),
		InstallRetry: install.GetRetryInterval(), UpgradeRetry: upgrade.GetRetryInterval(),
		MaxHistory: h.GetMaxHistory(), InstallServerSide: install.GetServerSideApply(true),
		InstallCRDs: install.GetCRDs(), UpgradeCRDs: upgrade.GetCRDs(),
		UpgradeServerSide: upgrade.GetServerSideApply(), RollbackServerSide: rollback.GetServerSideApply(),
		InstallStrategy: install.GetStrategy(helmv2.StrategyRemediateOnFailure), UpgradeStrategy: upgrade.GetStrategy(helmv2.StrategyRemediateOnFailure),
		ChartName: upgrade.GetChartNameChangeStrategy(), PostRender: h.GetPostRenderStrategy(helmv2.PostRenderStrategyCombined),
		Wait: h.GetWaitStrategy(helmv2.WaitStrategyPoller), Drift: h.GetDriftDetection().Mode,
		Propagation: uninstall.GetDeletionPropagation(), Filters: len(h.GetTest().GetFilters()),
	}
}

func TestHelmReleaseSettings(t *testing.T) {
	const minute = time.Minute
	second := &metav1.Duration{Duration: time.Second}
	tests := map[string]struct {
		why  string
		in   helmv2.HelmReleaseSpec
		want settings
	}{
		"defaults": {
			in: helmv2.HelmReleaseSpec{Chart: &helmv2.HelmChartTemplate{}, Interval: metav1.Duration{Duration: time.Hour}},
			want: settings{
				Timeout: 5 * minute, ChartInterval: time.Hour, Install: 5 * minute, Upgrade: 5 * minute, Test: 5 * minute, Rollback: 5 * minute, Uninstall: 5 * minute,
				InstallRetry: 5 * minute, UpgradeRetry: 5 * minute, MaxHistory: 5, InstallServerSide: true,
				InstallCRDs: helmv2.Create, UpgradeCRDs: helmv2.Create,
				UpgradeServerSide: helmv2.ServerSideApplyAuto, RollbackServerSide: helmv2.ServerSideApplyAuto,
				InstallStrategy: helmv2.StrategyRemediateOnFailure, UpgradeStrategy: helmv2.StrategyRemediateOnFailure,
				ChartName: helmv2.ChartNameChangeReinstall, PostRender: helmv2.PostRenderStrategyCombined, Wait: helmv2.WaitStrategyPoller,
				Drift: helmv2.DriftDetectionDisabled, Propagation: "background",
			},
		},
		"those of the spec": {
			why: "0 releases to remember means all, and is no default",
			in: helmv2.HelmReleaseSpec{
				Chart: &helmv2.HelmChartTemplate{Spec: helmv2.HelmChartTemplateSpec{Interval: second}}, Timeout: &metav1.Duration{Duration: minute},
				MaxHistory: new(0), PostRenderStrategy: helmv2.PostRenderStrategyNoHooks,
				WaitStrategy: &helmv2.WaitStrategy{Name: helmv2.WaitStrategyLegacy}, DriftDetection: &helmv2.DriftDetection{Mode: helmv2.DriftDetectionWarn},
				Install: &helmv2.Install{
					Timeout: second, Strategy: &helmv2.InstallStrategy{Name: helmv2.StrategyRetryOnFailure, RetryInterval: second},
					SkipCRDs: true, ServerSideApply: new(false),
				},
				Upgrade: &helmv2.Upgrade{
					Strategy: &helmv2.UpgradeStrategy{Name: helmv2.StrategyRetryOnFailure, RetryInterval: second}, CRDs: helmv2.Skip,
					ServerSideApply: helmv2.ServerSideApplyEnabled, ChartNameChangeStrategy: helmv2.ChartNameChangeInPlaceUpdate,
				},
				Test:      &helmv2.Test{Timeout: second, Filters: &[]helmv2.Filter{{Name: "smoke"}}},
				Rollback:  &helmv2.Rollback{Timeout: second, ServerSideApply: helmv2.ServerSideApplyDisabled},
				Uninstall: &helmv2.Uninstall{Timeout: second, DeletionPropagation: new("orphan")},
			},
			want: settings{
				Timeout: minute, ChartInterval: time.Second, Install: time.Second, Upgrade: minute, Test: time.Second, Rollback: time.Second, Uninstall: time.Second,
				InstallRetry: time.Second, UpgradeRetry: time.Second, InstallCRDs: helmv2.Skip, UpgradeCRDs: helmv2.Skip,
				UpgradeServerSide: helmv2.ServerSideApplyEnabled, RollbackServerSide: helmv2.ServerSideApplyDisabled,
				InstallStrategy: helmv2.StrategyRetryOnFailure, UpgradeStrategy: helmv2.StrategyRetryOnFailure,
				ChartName: helmv2.ChartNameChangeInPlaceUpdate, PostRender: helmv2.PostRenderStrategyNoHooks, Wait: helmv2.WaitStrategyLegacy,
				Drift: helmv2.DriftDetectionWarn, Propagation: "orphan", Filters: 1,
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, settingsOf(&helmv2.HelmRelease{Spec: tc.in})); diff != "" {
				t.Errorf("settings (-want +got), %s:\n%s", tc.why, diff)
			}
		})
	}
	if got := (helmv2.Install{SkipCRDs: true, CRDs: helmv2.CreateReplace}).GetCRDs(); got != helmv2.CreateReplace {
		t.Errorf("with skipCRDs and crds: CreateReplace, definitions get %q", got)
	}
}

func TestRemediation(t *testing.T) {
	tests := map[string]struct {
		why    string
		action helmv2.ReleaseAction
		in     helmv2.HelmReleaseSpec
		want   helmv2.Remediation
	}{
		"of an install by default": {
			why: "what cannot be installed is left for the user to look at", action: helmv2.ReleaseActionInstall,
			want: helmv2.Remediation{Strategy: helmv2.UninstallRemediationStrategy},
		},
		"of an install with retries": {
			why: "the last failure stays", action: helmv2.ReleaseActionInstall,
			in:   helmv2.HelmReleaseSpec{Install: &helmv2.Install{Remediation: &helmv2.InstallRemediation{Retries: 3}}, Test: &helmv2.Test{IgnoreFailures: true}},
			want: helmv2.Remediation{Retries: 3, IgnoreTestFailures: true, Strategy: helmv2.UninstallRemediationStrategy},
		},
		"of an install as told": {
			action: helmv2.ReleaseActionInstall,
			in: helmv2.HelmReleaseSpec{
				Install: &helmv2.Install{Remediation: &helmv2.InstallRemediation{RemediateLastFailure: new(true), IgnoreTestFailures: new(false)}},
				Test:    &helmv2.Test{IgnoreFailures: true},
			},
			want: helmv2.Remediation{RemediateLastFailure: true, Strategy: helmv2.UninstallRemediationStrategy},
		},
		"of an upgrade by default": {
			action: helmv2.ReleaseActionUpgrade,
			want:   helmv2.Remediation{Strategy: helmv2.RollbackRemediationStrategy},
		},
		"of an upgrade with retries": {
			why: "what ran before should run again", action: helmv2.ReleaseActionUpgrade,
			in:   helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: 1}}},
			want: helmv2.Remediation{Retries: 1, RemediateLastFailure: true, Strategy: helmv2.RollbackRemediationStrategy},
		},
		"of an upgrade without end": {
			why: "there is no last failure", action: helmv2.ReleaseActionUpgrade,
			in:   helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: -1}}},
			want: helmv2.Remediation{Retries: -1, Strategy: helmv2.RollbackRemediationStrategy},
		},
		"of an upgrade as told": {
			action: helmv2.ReleaseActionUpgrade,
			in: helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{
				Retries: 1, RemediateLastFailure: new(false), IgnoreTestFailures: new(true), Strategy: new(helmv2.UninstallRemediationStrategy),
			}}},
			want: helmv2.Remediation{Retries: 1, IgnoreTestFailures: true, Strategy: helmv2.UninstallRemediationStrategy},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := (&helmv2.HelmRelease{Spec: tc.in}).GetRemediation(tc.action)
			if got != tc.want {
				t.Errorf("remediation is %+v, want %+v (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestNamespacesOfCharts(t *testing.T) {
	template, ref := &helmv2.HelmChartTemplate{}, &helmv2.CrossNamespaceSourceReference{}
	if a, b := template.GetNamespace("apps"), ref.GetNamespace("apps"); a != "apps" || b != "apps" {
		t.Errorf("charts are in %q and %q, want the namespace of the HelmRelease", a, b)
	}
	template.Spec.SourceRef.Namespace, ref.Namespace = "sources", "sources"
	if a, b := template.GetNamespace("apps"), ref.GetNamespace("apps"); a != "sources" || b != "sources" {
		t.Errorf("charts are in %q and %q, want that of the reference", a, b)
	}
}

func TestStatus(t *testing.T) {
	status := &helmv2.HelmReleaseStatus{HelmChart: "sources/apps-demo", Failures: 3, InstallFailures: 1, UpgradeFailures: 2}
	status.ClearFailures()
	if diff := cmp.Diff(&helmv2.HelmReleaseStatus{HelmChart: "sources/apps-demo"}, status); diff != "" {
		t.Errorf("cleared (-want +got):\n%s", diff)
	}
}

func TestSnapshots(t *testing.T) {
	if got := (helmv2.Snapshots)(nil).Latest(); got != nil {
		t.Errorf("the latest of no releases is %+v", got)
	}
	second := &helmv2.Snapshot{Name: "web", Namespace: "shop", Version: 2, ChartName: "demo", ChartVersion: "1.2.3"}
	history := helmv2.Snapshots{second, {Version: 1}}
	if got := history.Latest(); got != second {
		t.Errorf("the latest is %+v, want the first", got)
	}
	if got := second.FullReleaseName(); got != "shop/web.v2" {
		t.Errorf("the release is called %q", got)
	}
	if got := second.VersionedChartName(); got != "demo@1.2.3" {
		t.Errorf("the chart is called %q", got)
	}
}

func TestTestHooks(t *testing.T) {
	tests := map[string]struct {
		in             *map[string]*helmv2.TestHookStatus
		tested, failed bool
	}{
		"before the tests":  {},
		"without any tests": {in: &map[string]*helmv2.TestHookStatus{}, tested: true},
		"one passed":        {in: &map[string]*helmv2.TestHookStatus{"smoke": {Phase: "Succeeded"}, "unknown": nil}, tested: true},
		"one failed":        {in: &map[string]*helmv2.TestHookStatus{"smoke": {Phase: "Succeeded"}, "load": {Phase: "Failed"}}, tested: true, failed: true},
	}
	for name, tc := range tests {
		s := &helmv2.Snapshot{TestHooks: tc.in}
		if tested, failed := s.HasBeenTested(), s.HasTestInPhase("Failed"); tested != tc.tested || failed != tc.failed {
			t.Errorf("%s: tested %t, failed %t", name, tested, failed)
		}
	}
}
