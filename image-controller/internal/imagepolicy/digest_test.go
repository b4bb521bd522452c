package imagepolicy_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/oci/ocitest"
	"weir.dev/pkg/testplane"
)

// often is an interval that lets a test see several polls.
const often = 300 * time.Millisecond

// TestDigestOnce: of each tag that is selected, and not again.
func TestDigestOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("one", "1.0.0")
	repo := w.repository("app")
	w.Wait("a scan", repo, func() bool { return conditions.IsReady(repo) })
	asked := w.reg.Counts()
	p := w.policy("app", semver("*"), once)
	w.waitLatest(p, "1.0.0", first)
	if got := conditions.GetMessage(p, meta.ReadyCondition); !strings.HasSuffix(got, "resolved to 1.0.0 with digest "+first) {
		t.Errorf("the policy says %q", got)
	}
	w.push("moved", "1.0.0")
	w.Poke(p)
	w.WaitHandled(p)
	w.waitLatest(p, "1.0.0", first)
	second := w.push("two", "1.1.0")
	w.scan(repo)
	w.waitLatest(p, "1.1.0", second)
	w.settle()
	if diff := cmp.Diff(ocitest.Counts{Heads: 2, Tags: 1}, w.reg.Counts().Minus(asked)); diff != "" {
		t.Errorf("two tags cost (-want +got):\n%s", diff)
	}
	want := "(previously " + w.image() + ":1.0.0@" + first + ")"
	if got := conditions.GetMessage(p, meta.ReadyCondition); !strings.HasSuffix(got, want) {
		t.Errorf("the policy says %q, want it to end with %q", got, want)
	}
	w.Patch(p, "test", "spec: {digestReflectionPolicy: Never}")
	w.waitLatest(p, "1.1.0", "")
}

// TestAMovedTagIsNoticed, and costs one write. What is not moved costs one HEAD each
// interval, and nothing of the API server.
func TestAMovedTagIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("one", "latest")
	w.repository("app")
	p := w.policy("app", alphabetical(), always(often))
	w.waitLatest(p, "latest", first)
	w.waitEvent(p, corev1.EventTypeNormal, imagev1.ReasonSucceeded, first)
	w.waitRuns(p, 2)

	allow := w.Traffic.Forbid(testplane.Any)
	runs, asked := w.runs(p), w.reg.Counts()
	w.waitRuns(p, 4)
	polls, got := w.runs(p)-runs, w.reg.Counts().Minus(asked)
	allow()
	// A run may have asked and not ended, at both ends.
	if got.Heads < polls-1 || got.Heads > polls+1 || got.Sum() != got.Heads {
		t.Errorf("%d polls cost the registry %+v, want one HEAD each", polls, got)
	}

	second := w.push("two", "latest")
	w.Traffic.Reset()
	w.waitLatest(p, "latest", second)
	if diff := cmp.Diff(&imagev1.ImageRef{Name: w.image(), Tag: "latest", Digest: first}, p.Status.ObservedPreviousRef); diff != "" {
		t.Errorf("the image before (-want +got):\n%s", diff)
	}
	w.waitEvent(p, corev1.EventTypeNormal, imagev1.ReasonSucceeded, second, "previously", first)
	w.waitRuns(p, 2)
	if n := w.Traffic.Count(testplane.Writes("imagepolicies")); n != 1 {
		t.Errorf("a moved tag took %d writes, want one", n)
	}
}

// TestDigestFailures: the registry is asked again, and what was selected stays whole.
func TestDigestFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault ocitest.Fault
		says  string
	}{
		"unauthorized": {fault: ocitest.Status(http.StatusUnauthorized), says: "registry refuses access"},
		"failing":      {fault: ocitest.Status(http.StatusInternalServerError), says: "status 500"},
		"gone":         {fault: ocitest.Status(http.StatusNotFound), says: "not found in the registry"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.push("one", "1.0.0")
			repo := w.repository("app")
			p := w.policy("app", semver("*"), once)
			w.waitLatest(p, "1.0.0", first)
			second := w.push("two", "2.0.0")
			w.reg.Break(func(rw http.ResponseWriter, req *http.Request) bool {
				kind := ocitest.KindOf(req)
				return (kind == ocitest.Head || kind == ocitest.Manifest) && tc.fault(rw, req)
			})
			w.scan(repo)
			w.expectFailure(p, imagev1.ReasonFailed, "failed to get the digest of '"+w.image()+":2.0.0'", tc.says)
			if diff := cmp.Diff(&imagev1.ImageRef{Name: w.image(), Tag: "1.0.0", Digest: first}, p.Status.LatestRef); diff != "" {
				t.Errorf("while there is no digest, the latest image is (-want +got):\n%s", diff)
			}
			w.waitEvent(p, corev1.EventTypeWarning, imagev1.ReasonFailed, tc.says)
			w.reg.Break(nil)
			w.waitLatest(p, "2.0.0", second)
		})
	}
}

// TestRetryAfterIsHonoured: a registry that asks to be left alone is.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	digest := w.push("one", "1.0.0")
	w.repository("app")
	w.reg.Break(func(rw http.ResponseWriter, req *http.Request) bool {
		if kind := ocitest.KindOf(req); kind != ocitest.Head && kind != ocitest.Manifest {
			return false
		}
		rw.Header().Set("Retry-After", "1800")
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	p := w.policy("app", semver("*"), once)
	w.expectFailure(p, imagev1.ReasonFailed, "status 429")
	w.waitEvent(p, corev1.EventTypeWarning, imagev1.ReasonFailed, "status 429")
	w.settle() // which is longer than the longest delay of what fails
	if got := w.reg.Counts(); got.Heads != 1 || got.Manifests != 0 {
		t.Errorf("the registry was asked for %d HEADs and %d manifests, want one HEAD", got.Heads, got.Manifests)
	}
	w.reg.Break(nil)
	w.Poke(p) // a person may ask before
	w.waitLatest(p, "1.0.0", digest)
}

// TestInsecure: the digest is asked for as the tags are, by plain HTTP.
func TestInsecure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	digest := w.push("one", "1.0.0")
	// On this machine, plain HTTP is tried without being asked for, so the registry is
	// behind a proxy that knows it by another name.
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: w.reg.Host()})
	}})
	t.Cleanup(proxy.Close)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "proxy"}, StringData: map[string]string{"address": proxy.URL}}
	w.Create(secret)
	w.repository("app", func(r *imagev1.ImageRepository) {
		r.Spec.Image, r.Spec.Insecure = "registry.example.com/"+app, true
		r.Spec.ProxySecretRef = &meta.LocalObjectReference{Name: secret.Name}
	})
	p := w.policy("app", semver("*"), once)
	w.Wait("a digest", p, func() bool {
		return conditions.IsReady(p) && *p.Status.LatestRef == imagev1.ImageRef{Name: "registry.example.com/" + app, Tag: "1.0.0", Digest: digest}
	})
}

// TestCredentials: the digest is asked for with those of the repository, a new password
// counts at once, and neither polls nor policies log in again.
func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reg = ocitest.Start(t, ocitest.Options{Username: "robot", Password: "good", Bearer: true})
	digest := w.push("one", "1.0.0")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "login"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: w.reg.DockerConfig("robot", "good")},
	}
	w.Create(secret)
	w.repository("app", func(r *imagev1.ImageRepository) { r.Spec.SecretRef = &meta.LocalObjectReference{Name: secret.Name} })
	p := w.policy("app", semver("*"), always(often))
	w.waitLatest(p, "1.0.0", digest)
	w.waitEvent(p, corev1.EventTypeNormal, imagev1.ReasonSucceeded, digest)
	w.waitRuns(p, 2)
	allow := w.Traffic.Forbid(testplane.Any)
	asked := w.reg.Counts()
	w.waitRuns(p, 3)
	got := w.reg.Counts().Minus(asked)
	allow()
	if got.Heads == 0 || got.Sum() != got.Heads {
		t.Errorf("polls with credentials cost %+v, want HEADs only", got)
	}

	w.reg.SetLogin("robot", "better")
	w.expectFailure(p, imagev1.ReasonFailed, "refuses access")
	if got := conditions.GetMessage(p, meta.ReadyCondition); strings.Contains(got, "good") || strings.Contains(got, "better") {
		t.Errorf("the policy tells the password: %q", got)
	}
	w.Patch(secret, "test", "stringData: {.dockerconfigjson: '"+w.reg.DockerConfig("robot", "better")+"'}")
	w.waitLatest(p, "1.0.0", digest)
}

// TestFeatureGateDisabled: another identity needs a feature that is off.
func TestFeatureGateDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	digest := w.push("one", "1.0.0")
	repo := w.repository("app")
	p := w.policy("app", semver("*"), always(time.Hour))
	w.waitLatest(p, "1.0.0", digest)
	w.Patch(repo, "test", "spec: {provider: aws, serviceAccountName: puller}")
	w.expectFailure(p, imagev1.ReasonFeatureGateDisabled, "ObjectLevelWorkloadIdentity")
	if !conditions.Has(p, meta.StalledCondition) || p.Status.LatestRef.Digest != digest {
		t.Errorf("the status is %v", p.Status)
	}
	w.Patch(repo, "test", "spec: {provider: generic, serviceAccountName: null}")
	w.waitLatest(p, "1.0.0", digest)
}
