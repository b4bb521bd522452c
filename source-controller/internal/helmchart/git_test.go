package helmchart_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/source-controller/internal/helm/helmtest"
)

// Revisions of a GitRepository.
const (
	first  = "main@sha1:1111111111111111111111111111111111111111"
	second = "main@sha1:2222222222222222222222222222222222222222"
)

// inGit makes a chart the one in the folder charts/app of the GitRepository.
func inGit(s *sourcev1.HelmChartSpec) { of(sourcev1.GitRepositoryKind, "fleet", "./charts/app")(s) }

// app is a chart in the folder charts/app.
func app(version string, more map[string]string) map[string]string {
	return prefixed("charts/app", helmtest.Chart("app", version, more))
}

func TestPackagesAFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	w.git(first, merged(app("1.0.0", map[string]string{
		".helmignore": "# tests\nci/\n*.md\n", "README.md": "hello", "docs/README.md": "hello", "templates/.hidden": "x",
	}), map[string]string{"other/file.yaml": "a: b\n"}))
	c := w.chart("app", inGit)
	w.WaitPublished(c, "1.0.0")
	want := helmtest.Chart("app", "1.0.0", map[string]string{".helmignore": "# tests\nci/\n*.md\n"})
	delete(want, "ci/test-values.yaml")
	if diff := cmp.Diff(want, w.files(c)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if want := "packaged 'app' chart with version '1.0.0'"; conditions.GetMessage(c, meta.ReadyCondition) != want {
		t.Errorf("Ready says %q; want %q", conditions.GetMessage(c, meta.ReadyCondition), want)
	}
	if c.Status.ObservedSourceArtifactRevision != first || c.Status.ObservedChartName != "app" {
		t.Errorf("observed are %q and %q", c.Status.ObservedSourceArtifactRevision, c.Status.ObservedChartName)
	}
	w.WaitEvent(c, corev1.EventTypeNormal, sourcev1.ReasonChartPackageSucceeded, "packaged 'app' chart")
	again := w.chart("again", inGit)
	w.WaitPublished(again, "1.0.0")
	if again.Status.Artifact.Digest != c.Status.Artifact.Digest {
		t.Error("the same files have two digests")
	}
}

func TestStrategies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	repo := w.git(first, app("1.0.0", nil))
	byVersion := w.chart("version", inGit)
	byRevision := w.chart("revision", inGit, func(s *sourcev1.HelmChartSpec) { s.ReconcileStrategy = sourcev1.ReconcileStrategyRevision })
	both := w.chart("both", inGit, values("charts/app/values-production.yaml"), func(s *sourcev1.HelmChartSpec) { s.ReconcileStrategy = sourcev1.ReconcileStrategyRevision })
	w.WaitPublished(byVersion, "1.0.0")
	w.WaitPublished(byRevision, "1.0.0+111111111111")
	w.WaitPublished(both, "1.0.0+111111111111.1")
	if got := w.files(byRevision)["Chart.yaml"]; !strings.Contains(got, "version: 1.0.0+111111111111\n") {
		t.Errorf("Chart.yaml is %q; want the version in it", got)
	}
	digest := byVersion.Status.Artifact.Digest

	w.commit(repo, second, app("1.0.0", map[string]string{"templates/app.yaml": "kind: Secret\n"}))
	w.WaitPublished(byRevision, "1.0.0+222222222222")
	w.WaitPublished(both, "1.0.0+222222222222.1")
	w.Wait("the revision is seen", byVersion, func() bool { return byVersion.Status.ObservedSourceArtifactRevision == second })
	if byVersion.Status.Artifact.Digest != digest {
		t.Error("the chart was packaged anew under its version")
	}

	w.Patch(byVersion, "test", "spec: {interval: 2h}")
	w.Wait("the new spec is carried out", byVersion, func() bool { return byVersion.Status.ObservedGeneration == 2 })
	if got := w.files(byVersion)["templates/app.yaml"]; got != "kind: Secret\n" {
		t.Errorf("after a change of the spec, the template is %q; want that of the commit", got)
	}
}

func TestPackagesInATree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	packed := helmtest.Package(t, "app", helmtest.Chart("app", "1.0.0", nil))
	w.git(first, map[string]string{"dist/app.tgz": string(packed), "values/two.yaml": "image: {tag: two}\n", "values/three.yaml": "image: {tag: three}\n"})
	c := w.chart("app", of(sourcev1.GitRepositoryKind, "fleet", "dist/app.tgz"))
	w.WaitPublished(c, "1.0.0")
	if got := w.Download(c); string(got) != string(packed) {
		t.Error("the package is not as it was found")
	}
	if want := "pulled 'app' chart with version '1.0.0'"; conditions.GetMessage(c, meta.ReadyCondition) != want {
		t.Errorf("Ready says %q; want %q", conditions.GetMessage(c, meta.ReadyCondition), want)
	}
	custom := w.chart("custom", of(sourcev1.GitRepositoryKind, "fleet", "dist/app.tgz"), values("values/two.yaml", "../../values/three.yaml"))
	w.WaitPublished(custom, "1.0.0+1")
	if got := w.files(custom)["values.yaml"]; got != "image:\n  tag: three\n" {
		t.Errorf("values %q; want those of the last file, from the root of the artifact", got)
	}
}

func TestRefusesInATree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{}, "--helm-chart-file-max-size=1000")
	repo := w.git(first, merged(app("1.0", nil), map[string]string{
		"broken/Chart.yaml": "name: [\n", "plain/file": "x", "not.tgz": "x",
	}, prefixed("large", helmtest.Chart("large", "1.0.0", map[string]string{"templates/a": strings.Repeat("x", 1001)})),
		prefixed("odd", helmtest.Chart("odd", "1.0.0", map[string]string{"values-production.yaml": "a: [\n"}))))
	revision := func(s *sourcev1.HelmChartSpec) { s.ReconcileStrategy = sourcev1.ReconcileStrategyRevision }
	tests := map[string]struct {
		path              string
		adjust            func(*sourcev1.HelmChartSpec)
		condition, reason string
		says              []string
	}{
		"nothing":        {path: "none", condition: sourcev1.ConditionFetchFailed, reason: sourcev1.ReasonInvalidChartReference, says: []string{"invalid chart reference: ", "no chart found at path 'none'"}},
		"outside":        {path: "../../etc", condition: sourcev1.ConditionFetchFailed, reason: sourcev1.ReasonInvalidChartReference, says: []string{"no chart found at path 'etc'"}},
		"no-chart":       {path: "plain", condition: sourcev1.ConditionFetchFailed, reason: sourcev1.ReasonInvalidChartReference, says: []string{"no chart found at path 'plain'"}},
		"broken":         {path: "broken", condition: sourcev1.ConditionFetchFailed, reason: sourcev1.ReasonInvalidChartReference, says: []string{"not a valid chart"}},
		"no-package":     {path: "not.tgz", condition: sourcev1.ConditionFetchFailed, reason: sourcev1.ReasonInvalidChartReference, says: []string{"not a valid chart"}},
		"large":          {path: "large", condition: sourcev1.ConditionFetchFailed, reason: sourcev1.ReasonChartPullError, says: []string{"too large", "the limit is 1000"}},
		"broken-values":  {path: "odd", adjust: values("odd/values-production.yaml"), condition: sourcev1.ConditionBuildFailed, reason: sourcev1.ReasonValuesFilesError, says: []string{"values files merge error: "}},
		"values-outside": {path: "charts/app", adjust: values("values.yaml", "x"), condition: sourcev1.ConditionBuildFailed, reason: sourcev1.ReasonValuesFilesError, says: []string{"no values file found at path 'values.yaml'"}},
		"number-version": {path: "charts/app", adjust: revision, condition: "", reason: "1.0.0+111111111111"},
	}
	for name, tc := range tests {
		adjust := []func(*sourcev1.HelmChartSpec){of(sourcev1.GitRepositoryKind, "fleet", tc.path)}
		if tc.adjust != nil {
			adjust = append(adjust, tc.adjust)
		}
		c := w.chart(name, adjust...)
		if tc.condition == "" {
			w.WaitPublished(c, tc.reason)
			continue
		}
		w.waitFailed(c, tc.condition, tc.reason, tc.says...)
	}
	w.Get(repo)
}

func TestResolvesDependencies(t *testing.T) {
	t.Parallel()
	const user, password = "reader", "secret"
	w := newWorld(t, helmtest.Options{User: user, Password: password})
	w.server.AddChart("remote", "2.0.0", nil)
	w.server.AddChart("remote", "2.1.0", nil)
	w.repo(func(s *sourcev1.HelmRepositorySpec) {
		s.SecretRef = w.Secret("login", map[string]string{"username": user, "password": password})
		s.URL += "///"
	})
	free := helmtest.Start(t, helmtest.Options{})
	free.AddChart("free", "1.0.0", nil)
	w.git(first, merged(
		app("1.0.0", map[string]string{"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n" +
			"- {name: vendored, version: 1.x, repository: 'https://charts.example.com'}\n" +
			"- {name: stale, version: 2.x, repository: 'file://../../libs/stale'}\n" +
			"- {name: local, version: 1.x, repository: 'file://../local'}\n" +
			"- {name: remote, version: ~2.0, repository: '" + w.server.Repo() + "'}\n" +
			"- {name: free, version: '*', repository: '" + free.Repo() + "', alias: other}\n"}),
		prefixed("charts/app/charts/vendored", helmtest.Chart("vendored", "1.5.0", nil)),
		map[string]string{"charts/app/charts/stale-1.0.0.tgz": string(helmtest.Package(t, "stale", helmtest.Chart("stale", "1.0.0", nil)))},
		prefixed("libs/stale", helmtest.Chart("stale", "2.0.0", nil)),
		prefixed("charts/local", helmtest.Chart("local", "1.2.0", nil)),
	))
	c := w.chart("app", inGit)
	w.WaitPublished(c, "1.0.0")
	got := make(map[string]string)
	for name, content := range w.files(c) {
		if folder, ok := strings.CutSuffix(name, "/Chart.yaml"); ok {
			_, rest, _ := strings.Cut(content, "version: ")
			got[folder], _, _ = strings.Cut(rest, "\n")
		} else if strings.HasSuffix(name, ".tgz") {
			got[name] = "package"
		}
	}
	want := map[string]string{"charts/vendored": "1.5.0", "charts/stale": "2.0.0", "charts/local": "1.2.0", "charts/remote": "2.0.0", "charts/free": "1.0.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("charts folder (-want +got):\n%s", diff)
	}
	w.WaitEvent(c, corev1.EventTypeNormal, sourcev1.ReasonResolvedDependencies, "resolved 4 chart dependencies")
	for _, r := range free.Requests() {
		if r.Login != "" {
			t.Errorf("a repository that has no HelmRepository saw the login %q", r.Login)
		}
	}
}

func TestRefusesDependencies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{User: "reader", Password: "secret"})
	tests := map[string]struct {
		repository string
		says       string
	}{
		"alias":      {repository: "@charts", says: "is not supported"},
		"long-alias": {repository: "alias:charts", says: "is not supported"},
		"nowhere":    {repository: "", says: "it must be in the charts folder"},
		"missing":    {repository: "file://../none", says: "no chart found at path"},
		"outside":    {repository: "file://../../../../../../etc", says: "no chart found at path 'etc'"},
		"another":    {repository: "file://../another", says: "the chart there is 'another'"},
		"old":        {repository: "file://../old", says: "can't get a valid version for constraint '2.x'"},
		"private":    {repository: w.server.Repo(), says: "unauthorized: no credentials are given (401 Unauthorized)"},
		"no-url":     {repository: "ftp://example.com", says: "dependency build error: failed to add dependency 'dep'"},
	}
	trees := []map[string]string{
		prefixed("another", helmtest.Chart("another", "2.0.0", nil)), prefixed("old", helmtest.Chart("dep", "1.0.0", nil)),
	}
	for name, tc := range tests {
		trees = append(trees, prefixed(name+"-app", helmtest.Chart("app", "1.0.0", map[string]string{
			"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: dep, version: 2.x, repository: '" + tc.repository + "'}\n",
		})))
	}
	w.git(first, merged(trees...))
	for name, tc := range tests {
		c := w.chart(name, of(sourcev1.GitRepositoryKind, "fleet", name+"-app"))
		w.waitFailed(c, sourcev1.ConditionBuildFailed, sourcev1.ReasonDependencyBuildError, tc.says)
	}
}
