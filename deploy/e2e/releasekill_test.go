package e2e_test

import (
	"maps"
	"slices"
	"testing"

	helmv2 "weir.dev/api/helm/v2"
)

const (
	// oneJob makes helm-controller do one thing after the other.
	oneJob = "--concurrent=1"

	// leavingTemplate and arrivingTemplate are objects of one version only.
	leavingTemplate  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: leaving}\n"
	arrivingTemplate = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: arriving}\n"
	// hookTemplate is an object before everything, which is gone afterwards.
	hookTemplate = `apiVersion: v1
kind: ConfigMap
metadata:
  name: hook
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"}
`
)

// TestKillAtEveryRequestOfARelease kills helm-controller at each request of an install and an
// upgrade.
func TestKillAtEveryRequestOfARelease(t *testing.T) {
	t.Parallel()
	killAtEach(t, installAndUpgradeChart, []step{
		{"PATCH", "/helmreleases/app", "the finalizer"},
		{"PATCH", "-app", "the HelmChart"},
		{"PATCH", "/helmreleases/app/status", "what is attempted, or the conclusion"},
		{"POST", "/secrets", "a new release"},
		{"PATCH", "/configmaps/hook", "a hook"},
		{"DELETE", "/configmaps/hook", "the end of a hook"},
		{"PUT", ".v1", "the end of the first release"},
		{"PUT", ".v2", "the end of the second"},
	})
}

// TestKillAtEveryRequestOfAnInstallThatIsGivenUp kills helm-controller at each request of an
// install, of which nothing is left if the HelmRelease is deleted before there is another.
func TestKillAtEveryRequestOfAnInstallThatIsGivenUp(t *testing.T) {
	t.Parallel()
	killAtEach(t, giveUpInstall, []step{
		{"PATCH", "/helmreleases/app", "the finalizer"},
		{"PATCH", "/helmreleases/app/status", "what is attempted, or the conclusion"},
		{"POST", "/secrets", "the release"},
		{"PATCH", "/configmaps/settings", "an object"},
		{"PUT", ".v1", "the end of the release"},
	})
}

// TestKillAtEveryRequestOfAnUninstall kills helm-controller at each request that the deletion of
// a HelmRelease costs.
func TestKillAtEveryRequestOfAnUninstall(t *testing.T) {
	t.Parallel()
	killAtEach(t, uninstall, []step{
		{"DELETE", "/configmaps/settings", "the deletion of an object"},
		{"DELETE", "/serviceaccounts/account", "that of another"},
		{"DELETE", "-app", "that of the HelmChart"},
		{"DELETE", ".v1", "that of the stored release"},
		{"PATCH", "/helmreleases/app", "the end of the finalizer"},
	})
}

// installAndUpgradeChart installs and upgrades a release, with a controller that dies at a certain
// request, and one that takes over then, and removes it.
func installAndUpgradeChart(t *testing.T, f fault) string {
	s := newShop(t)
	s.publish("1.0.0", map[string]string{"settings": settingsTemplate, "account": accountTemplate, "hook": hookTemplate, "leaving": leavingTemplate})
	s.publish("2.0.0", map[string]string{"settings": settingsTemplate, "account": accountTemplate, "hook": hookTemplate, "arriving": arrivingTemplate})
	hr := s.sell("1.0.0", func(*helmv2.HelmReleaseSpec) {})
	doomed := s.startBehind(s.startHelm, f, oneJob)
	died := false
	survive := func(version, key string) {
		t.Helper()
		is := func() bool { return s.Get(hr) && released(hr, version) }
		if !died && s.dies(doomed, "version "+version+" released", is) {
			died = true
			s.startHelm()
		}
		s.Eventually("version "+version+" released", is)
		s.checkSettings(version, key)
		s.checkHistory(hr)
	}
	survive("1.0.0", "1")
	s.checkObjects("account", "leaving", "settings")
	s.Patch(hr, "user", `spec: {chart: {spec: {version: 2.0.0}}, values: {key: "2"}}`)
	survive("2.0.0", "2")
	s.checkObjects("account", "arriving", "settings")
	if !died {
		return ""
	}
	s.remove(hr)
	return doomed.last()
}

// giveUpInstall installs a release with a controller that dies at a certain request, deletes
// the HelmRelease, and has another controller see to the rest.
func giveUpInstall(t *testing.T, f fault) string {
	s := newShop(t)
	s.publish("1.0.0", map[string]string{"settings": settingsTemplate, "account": accountTemplate})
	hr := s.sell("1.0.0", func(*helmv2.HelmReleaseSpec) {})
	doomed := s.startBehind(s.startHelm, f, oneJob)
	if !s.dies(doomed, "the release installed", func() bool { return s.Get(hr) && released(hr, "1.0.0") }) {
		return ""
	}
	request := doomed.last()
	if err := s.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	s.startHelm()
	s.WaitGone(hr)
	s.checkGone()
	return request
}

// uninstall removes a release, with a controller that dies at a certain request, and one that
// takes over then.
func uninstall(t *testing.T, f fault) string {
	s := newShop(t)
	s.publish("1.0.0", map[string]string{"settings": settingsTemplate, "account": accountTemplate, "hook": hookTemplate})
	hr := s.sell("1.0.0", func(*helmv2.HelmReleaseSpec) {})
	first := s.startHelm()
	s.waitReleased(hr, "1.0.0", "1")
	s.kill(first)
	if err := s.Client.Delete(t.Context(), hr); err != nil {
		t.Fatal(err)
	}
	doomed := s.startBehind(s.startHelm, f, oneJob)
	request := ""
	if s.dies(doomed, "the HelmRelease gone", func() bool { return !s.Get(hr) }) {
		request = doomed.last()
		s.startHelm()
	}
	s.WaitGone(hr)
	s.checkGone()
	return request
}

// dies waits until a controller is killed, or something is done. It reports whether it was
// killed, if only at its last request.
func (s *shop) dies(doomed *proxy, what string, done func() bool) bool {
	s.t.Helper()
	s.Eventually(what+", or the controller killed", func() bool { return doomed.wasHit() || done() })
	if !doomed.wasHit() {
		return false
	}
	<-doomed.killed
	return true
}

// remove deletes hr, and checks that nothing is left of it.
func (s *shop) remove(hr *helmv2.HelmRelease) {
	s.t.Helper()
	if err := s.Client.Delete(s.t.Context(), hr); err != nil {
		s.t.Fatal(err)
	}
	s.WaitGone(hr)
	s.checkGone()
}

// checkHistory checks that the stored releases are a history: without gaps, of which the last
// is deployed and no other, and that the status knows the last.
func (s *shop) checkHistory(hr *helmv2.HelmRelease) {
	s.t.Helper()
	stored := s.stored()
	versions := slices.Sorted(maps.Keys(stored))
	for i, version := range versions {
		last := i == len(versions)-1
		if version != i+1 || (stored[version] == "deployed") != last || (!last && stored[version] != "superseded" && stored[version] != "failed") {
			s.t.Errorf("the stored releases are no history: %v", stored)
			break
		}
	}
	if len(versions) == 0 {
		s.t.Error("nothing is stored")
		return
	}
	if newest := versions[len(versions)-1]; history(hr)[newest] != "deployed" {
		s.t.Errorf("the status has the releases %v; stored are %v", history(hr), stored)
	}
}
