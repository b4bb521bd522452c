package gitrepository_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// TestFieldThatDoesNotWorkYet: nothing is accepted and ignored.
func TestFieldThatDoesNotWorkYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	tests := map[string]struct {
		field string
		set   string // a merge patch of the spec
	}{
		"verify":              {field: "verify", set: "{verify: {mode: HEAD, secretRef: {name: keys}}}"},
		"submodules":          {field: "recurseSubmodules", set: "{recurseSubmodules: true}"},
		"include":             {field: "include", set: "{include: [{repository: {name: other}}]}"},
		"sparse-checkout":     {field: "sparseCheckout", set: "{sparseCheckout: [app]}"},
		"proxy":               {field: "proxySecretRef", set: "{proxySecretRef: {name: proxy}}"},
		"provider-aws":        {field: "provider", set: "{provider: aws}"},
		"provider-azure":      {field: "provider", set: "{provider: azure}"},
		"provider-github":     {field: "provider", set: "{provider: github}"},
		"service-account":     {field: "serviceAccountName", set: "{provider: azure, serviceAccountName: robot}"},
		"several-of-them":     {field: "verify", set: "{verify: {secretRef: {name: keys}}, sparseCheckout: [app]}"},
		"beside-other-errors": {field: "include", set: "{url: 'http://', include: [{repository: {name: other}}]}"},
	}
	repos := make(map[string]*sourcev1.GitRepository, len(tests))
	for name := range tests {
		repos[name] = w.source(name)
	}
	for name, tc := range tests {
		repo := repos[name]
		w.WaitPublished(repo, "main@sha1:"+rev)
		w.Patch(repo, "test", "spec: "+tc.set)
		c := w.WaitCondition(repo, sourcev1.ConditionStalled, metav1.ConditionTrue, "FieldNotSupported:"+tc.field)
		if !strings.Contains(c.Message, "spec."+tc.field+" is not supported yet") {
			t.Errorf("%s: the condition says %q; want it to name the field", name, c.Message)
		}
		ready := w.WaitCondition(repo, sourcev1.ConditionReady, metav1.ConditionFalse, c.Reason)
		w.expectRefused(repo, true, sourcev1.ConditionFetchFailed, ready)
		w.WaitEvent(repo, corev1.EventTypeWarning, c.Reason, c.Message)
		w.Download(repo) // it stays
		w.Patch(repo, "test", "spec: {verify: null, recurseSubmodules: null, include: null, sparseCheckout: null, "+
			"proxySecretRef: null, provider: null, serviceAccountName: null, url: '"+w.git.URL("fleet")+"'}")
	}
	for _, repo := range repos {
		w.WaitPublished(repo, "main@sha1:"+rev)
		w.expectHealed(repo)
	}
}

// TestProviderGenericIsWhatWorks: it is what an empty provider means.
func TestProviderGenericIsWhatWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rev := w.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	repo := w.source("fleet", func(s *sourcev1.GitRepositorySpec) { s.Provider = sourcev1.GitProviderGeneric })
	w.WaitPublished(repo, "main@sha1:"+rev)
}
