package helmchart_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/source-controller/internal/helm/helmtest"
	"weir.dev/source-controller/internal/signature/signaturetest"
)

const (
	chartConfig = "application/vnd.cncf.helm.config.v1+json"
	chartLayer  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// push pushes a chart as Helm does, with its provenance before it.
func push(r *ocitest.Registry, repo, tag string, data []byte) {
	r.Push(repo, tag, ocitest.Artifact{ConfigType: chartConfig, Layers: []ocitest.Layer{
		{MediaType: "application/vnd.cncf.helm.chart.provenance.v1.prov", Content: []byte("signed")},
		{MediaType: chartLayer, Content: data},
	}})
}

// registry creates the HelmRepository "charts" of a registry, which adjust may change.
func (w *world) registry(r *ocitest.Registry, adjust ...func(*sourcev1.HelmRepositorySpec)) *sourcev1.HelmRepository {
	w.T.Helper()
	return w.repo(append([]func(*sourcev1.HelmRepositorySpec){func(s *sourcev1.HelmRepositorySpec) {
		s.URL, s.Type, s.Insecure = r.URL("team"), sourcev1.HelmRepositoryTypeOCI, true
	}}, adjust...)...)
}

func TestPullsFromARegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	reg := ocitest.Start(t, ocitest.Options{})
	for _, tag := range []string{"1.0.0", "1.10.0", "1.2.0_build.1", "2.0.0-rc.1"} {
		push(reg, "team/demo", tag, helmtest.Package(t, "demo", helmtest.Chart("demo", strings.ReplaceAll(tag, "_", "+"), nil)))
	}
	reg.Push("team/demo", "latest", ocitest.Files(map[string]string{"a": "b"}))
	w.registry(reg)
	tests := map[string]struct{ want, picked string }{
		"any": {"*", "1.10.0"}, "exact": {"1.0.0", "1.0.0"}, "range": {"<1.10", "1.2.0+build.1"}, "metadata": {"1.2.0+build.1", "1.2.0+build.1"},
		"prerelease": {">=1.0.0-0", "2.0.0-rc.1"},
	}
	for name, tc := range tests {
		c := w.chart(name, version(tc.want))
		w.WaitPublished(c, tc.picked)
		if got := conditions.GetReason(c, meta.ReadyCondition); got != sourcev1.ReasonChartPullSucceeded || c.Status.ObservedSourceArtifactRevision != "" {
			t.Errorf("%s: reason %s, source revision %q", name, got, c.Status.ObservedSourceArtifactRevision)
		}
	}
	custom := w.chart("custom", version("1.0.0"), values("values-production.yaml"))
	w.WaitPublished(custom, "1.0.0+1")
	none := w.chart("none", version("3.x"))
	w.waitFailed(none, sourcev1.ConditionFetchFailed, sourcev1.ReasonInvalidChartReference, "no 'demo' chart with version matching '3.x' found")
	push(reg, "team/demo", "3.0.0", helmtest.Package(t, "demo", helmtest.Chart("demo", "3.0.0", nil)))
	w.WaitPublished(none, "3.0.0") // without anybody's help
	nested := w.chart("nested", func(s *sourcev1.HelmChartSpec) { s.Chart, s.Version = "sub/demo", "1.0.0" })
	w.waitFailed(nested, sourcev1.ConditionFetchFailed, sourcev1.ReasonChartPullError)
	push(reg, "team/sub/demo", "1.0.0", helmtest.Package(t, "demo", helmtest.Chart("demo", "1.0.0", nil)))
	w.WaitPublished(nested, "1.0.0")
}

// TestPollOfARegistry: an exact version that is published costs nothing, a range the
// list of tags.
func TestPollOfARegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	reg := ocitest.Start(t, ocitest.Options{})
	// What is in it has another name, which is no reason to look again.
	push(reg, "team/demo", "1.0.0", helmtest.Package(t, "inner", helmtest.Chart("inner", "1.0.0", nil)))
	w.registry(reg)
	for name, tc := range map[string]struct {
		version string
		tags    int
	}{"exact": {"1.0.0", 0}, "range": {"1.x", 1}} {
		c := w.chart(name, version(tc.version))
		w.WaitPublished(c, "1.0.0")
		w.WaitEvent(c, corev1.EventTypeNormal, sourcev1.ReasonChartPullSucceeded)
		w.Settle()
		before := reg.Counts()
		w.Again(c)
		if got := reg.Counts().Minus(before); got.Tags != tc.tags || got.Sum() != tc.tags {
			t.Errorf("%s: a run cost %+v; want %d lists of tags", name, got, tc.tags)
		}
	}
}

func TestLogsInToARegistry(t *testing.T) {
	t.Parallel()
	const user, password = "reader", "correct horse"
	tests := map[string]struct {
		options ocitest.Options
		secret  func(r *ocitest.Registry) map[string]string
		says    string // empty means that it works
	}{
		"basic": {options: ocitest.Options{Username: user, Password: password}, secret: func(*ocitest.Registry) map[string]string {
			return map[string]string{"username": user, "password": password}
		}},
		"token": {options: ocitest.Options{Username: user, Password: password, Bearer: true}, secret: func(*ocitest.Registry) map[string]string {
			return map[string]string{"username": user, "password": password}
		}},
		"dockerconfig": {options: ocitest.Options{Username: user, Password: password}, secret: func(r *ocitest.Registry) map[string]string {
			return map[string]string{corev1.DockerConfigJsonKey: r.DockerConfig(user, password)}
		}},
		"nobody": {options: ocitest.Options{Username: user, Password: password}, says: "failed to authenticate with the Helm repository: "},
		"wrong": {options: ocitest.Options{Username: user, Password: password}, secret: func(*ocitest.Registry) map[string]string {
			return map[string]string{"username": user, "password": "no"}
		}, says: "failed to authenticate with the Helm repository: "},
		"half":      {secret: func(*ocitest.Registry) map[string]string { return map[string]string{"username": user} }, says: "only one of the keys"},
		"authority": {options: ocitest.Options{TLS: true}, secret: func(r *ocitest.Registry) map[string]string { return map[string]string{"ca.crt": string(r.CA)} }},
		"unknown":   {options: ocitest.Options{TLS: true}, says: "not trusted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, helmtest.Options{})
			reg := ocitest.Start(t, tc.options)
			reg.SetLogin("", "")
			push(reg, "team/demo", "1.0.0", helmtest.Package(t, "demo", helmtest.Chart("demo", "1.0.0", nil)))
			reg.SetLogin(tc.options.Username, tc.options.Password)
			w.registry(reg, func(s *sourcev1.HelmRepositorySpec) {
				s.Insecure = !tc.options.TLS
				if tc.secret != nil {
					s.SecretRef = w.Secret("login", tc.secret(reg))
				}
			})
			c := w.chart("demo", version("1.x"))
			if tc.says == "" {
				w.WaitPublished(c, "1.0.0")
				return
			}
			w.waitFailed(c, sourcev1.ConditionFetchFailed, sourcev1.ReasonAuthenticationFailed, tc.says)
		})
	}
}

// TestInsecureAllowsPlainHTTPOnly: it is no leave to trust anybody.
func TestInsecureAllowsPlainHTTPOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	reg := ocitest.Start(t, ocitest.Options{TLS: true})
	w.registry(reg)
	c := w.chart("demo", version("1.x"))
	w.WaitCondition(c, sourcev1.ConditionFetchFailed, metav1.ConditionTrue, sourcev1.ReasonAuthenticationFailed)
	if n := reg.Counts().Sum(); n != 0 {
		t.Errorf("the registry saw %d requests; want none through a connection that nobody vouches for", n)
	}
}

func TestVerifies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, helmtest.Options{})
	reg := ocitest.Start(t, ocitest.Options{})
	key := signaturetest.NewKey(t)
	digest := reg.Push("team/demo", "1.0.0", ocitest.Artifact{ConfigType: chartConfig, Layers: []ocitest.Layer{
		{MediaType: chartLayer, Content: helmtest.Package(t, "demo", helmtest.Chart("demo", "1.0.0", nil))},
	}})
	w.registry(reg)
	ref := w.Secret("keys", map[string]string{"cosign.pub": key.Public()})
	c := w.chart("demo", version("1.x"), func(s *sourcev1.HelmChartSpec) {
		s.Verify = &sourcev1.HelmChartVerification{Provider: "cosign", SecretRef: ref}
	})
	w.waitFailed(c, sourcev1.ConditionBuildFailed, sourcev1.ReasonChartVerificationError, "chart verification error: failed to verify the signature using provider 'cosign'")
	if v := conditions.Get(c, sourcev1.ConditionSourceVerified); v == nil || v.Status != metav1.ConditionFalse || v.Reason != sourcev1.ReasonVerificationError {
		t.Errorf("SourceVerified is %v; want False, VerificationError", v)
	}
	if c.Status.Artifact != nil {
		t.Error("a chart that is not signed is published")
	}
	key.Sign(reg, "team/demo", digest)
	w.WaitPublished(c, "1.0.0")
	if v := conditions.Get(c, sourcev1.ConditionSourceVerified); v == nil || v.Status != metav1.ConditionTrue || v.Message != "verified signature of version 1.0.0" {
		t.Errorf("SourceVerified is %v; want True", v)
	}
	w.WaitEvent(c, corev1.EventTypeNormal, sourcev1.ReasonChartPullSucceeded)

	// The tag moves to what nobody signed: the chart stays, and Ready says so.
	push(reg, "team/demo", "1.0.0", helmtest.Package(t, "demo", helmtest.Chart("demo", "1.0.0", map[string]string{"evil": "x"})))
	w.Poke(c)
	w.waitFailed(c, sourcev1.ConditionBuildFailed, sourcev1.ReasonChartVerificationError)
	if got := w.files(c)["evil"]; got != "" || c.Status.Artifact == nil {
		t.Error("what nobody signed is published")
	}
	w.Patch(c, "test", "spec: {verify: null}")
	w.WaitPublished(c, "1.0.0")
	w.Wait("the condition goes", c, func() bool { return !conditions.Has(c, sourcev1.ConditionSourceVerified) })
}
