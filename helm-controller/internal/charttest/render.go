package charttest

import (
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
)

// The release that Render makes.
const (
	ReleaseName      = "example"
	ReleaseNamespace = "somewhere"
)

// defaultKubeVersion is what charts are rendered for.
const defaultKubeVersion = "v1.37.2"

// Render returns the release that the SDK makes of a chart without a cluster, as `helm template` does.
func Render(t testing.TB, c *chart.Chart, v Variant) (*release.Release, error) {
	t.Helper()
	version := v.KubeVersion
	if version == "" {
		version = defaultKubeVersion
	}
	kube, err := chartutil.ParseKubeVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.ClientOnly, install.DryRun = true, true
	install.ReleaseName, install.Namespace = ReleaseName, ReleaseNamespace
	install.KubeVersion, install.APIVersions = kube, v.APIVersions
	install.IsUpgrade = v.Upgrade
	return install.Run(c, v.Values)
}
