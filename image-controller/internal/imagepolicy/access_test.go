package imagepolicy_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
)

// tenants are a world whose controller sees two namespaces, and in these the objects of
// the test only.
type tenants struct {
	*world
	other *corev1.Namespace
}

const shard = "test.weir.dev/world"

func newTenants(t *testing.T, flags ...string) *tenants {
	t.Helper()
	w := newWorld(t)
	w.stop()
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace + "-other", Labels: map[string]string{"team": "b"}}}
	if err := w.Client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.start(append(flags, "--watch-all-namespaces=true", "--watch-label-selector="+shard+"="+w.Namespace)...)
	return &tenants{world: w, other: other}
}

// own marks what the controller of the test sees.
func (w *tenants) own(obj client.Object) {
	obj.SetLabels(map[string]string{shard: w.Namespace})
}

// policy creates a policy in the other namespace that selects from this one.
func (w *tenants) policy(name string) *imagev1.ImagePolicy {
	w.t.Helper()
	p := w.world.policy(name, semver("*"), func(p *imagev1.ImagePolicy) {
		w.own(p)
		p.Namespace, p.Spec.ImageRepositoryRef.Namespace = w.other.Name, w.Namespace
	})
	return p
}

// end removes the policy and the other namespace, before the controller ends.
func (w *tenants) end(p *imagev1.ImagePolicy) {
	w.t.Helper()
	for _, obj := range []client.Object{p, w.other} {
		if err := w.Client.Delete(w.t.Context(), obj); err != nil {
			w.t.Fatal(err)
		}
	}
	w.WaitGone(p)
}

// repository creates a repository that lets some namespaces in.
func (w *tenants) repository(from *imagev1.AccessFrom) *imagev1.ImageRepository {
	w.t.Helper()
	return w.world.repository("app", func(r *imagev1.ImageRepository) {
		w.own(r)
		r.Spec.AccessFrom = from
	})
}

func teams(names ...string) *imagev1.AccessFrom {
	from := &imagev1.AccessFrom{}
	for _, name := range names {
		from.NamespaceSelectors = append(from.NamespaceSelectors, imagev1.NamespaceSelector{MatchLabels: map[string]string{"team": name}})
	}
	return from
}

// TestAccessFollowsLabelsAndSpec at once: neither needs a request, nor an interval.
func TestAccessFollowsLabelsAndSpec(t *testing.T) {
	t.Parallel()
	w := newTenants(t)
	w.push("one", "1.0.0")
	repo := w.repository(nil)
	p := w.policy("app")
	w.expectFailure(p, imagev1.ReasonAccessDenied, "'ImageRepository/"+w.Namespace+"/app'", "spec.accessFrom", "'"+w.other.Name+"'")
	w.waitEvent(p, corev1.EventTypeWarning, imagev1.ReasonAccessDenied, "spec.accessFrom")
	w.Patch(repo, "test", "spec: {accessFrom: {namespaceSelectors: [{matchLabels: {team: a}}, {matchLabels: {team: b}}]}}")
	w.waitLatest(p, "1.0.0", "")
	w.Patch(w.other, "test", "metadata: {labels: {team: c}}")
	w.expectFailure(p, imagev1.ReasonAccessDenied, "spec.accessFrom")
	if p.Status.LatestRef == nil || p.Status.LatestRef.Tag != "1.0.0" {
		t.Errorf("whoever may not look any more keeps what was seen; this has %v", p.Status.LatestRef)
	}
	w.Patch(w.other, "test", "metadata: {labels: {team: a}}")
	w.waitLatest(p, "1.0.0", "")
	w.push("two", "2.0.0")
	w.scan(repo)
	w.waitLatest(p, "2.0.0", "")
	w.end(p)
}

// TestAccessFromEverywhere is what an empty selector gives.
func TestAccessFromEverywhere(t *testing.T) {
	t.Parallel()
	w := newTenants(t)
	w.push("one", "1.0.0")
	w.repository(&imagev1.AccessFrom{NamespaceSelectors: []imagev1.NamespaceSelector{{}}})
	p := w.policy("app")
	w.waitLatest(p, "1.0.0", "")
	w.end(p)
}

// TestNoCrossNamespaceRefs: the flag counts more than what a repository allows.
func TestNoCrossNamespaceRefs(t *testing.T) {
	t.Parallel()
	w := newTenants(t, "--no-cross-namespace-refs=true")
	w.push("one", "1.0.0")
	w.repository(teams("b"))
	p := w.policy("app")
	w.expectFailure(p, imagev1.ReasonAccessDenied, "cross-namespace references have been blocked")
	own := w.world.policy("own", semver("*"), func(p *imagev1.ImagePolicy) {
		w.own(p)
		p.Spec.ImageRepositoryRef = meta.NamespacedObjectReference{Name: "app", Namespace: w.Namespace} // which is its own
	})
	w.waitLatest(own, "1.0.0", "")
	w.end(p)
}

// TestNamespaceThatIsNotWatched: there is nothing to be seen of others.
func TestNamespaceThatIsNotWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy("app", semver("*"), func(p *imagev1.ImagePolicy) { p.Spec.ImageRepositoryRef.Namespace = "kube-public" })
	w.expectFailure(p, imagev1.ReasonAccessDenied, "'ImageRepository/kube-public/app'", `no namespace but "`+w.Namespace+`"`)
}
