package followed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/testplane"
)

// world is a plane with somebody who reads.
type world struct {
	*testplane.Plane
	t       *testing.T
	objects *followed.Objects
	woken   workqueue.TypedRateLimitingInterface[reconcile.Request]
	user    followed.User
	refused bool            // nobody may watch
	told    labels.Selector // whose changes are told; nil means all
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return start(t, &world{Plane: testplane.Start(t), t: t})
}

func start(t *testing.T, w *world) *world {
	t.Helper()
	w.user = followed.User{Kind: "GitRepository", NamespacedName: types.NamespacedName{Namespace: w.Namespace, Name: "fleet"}}
	w.woken = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	t.Cleanup(w.woken.ShutDown)
	ready := make(chan struct{})
	w.Run("follower", func(ctx context.Context, d *daemon.Daemon) error {
		if err := d.Parse(); err != nil {
			return err
		}
		if err := w.prepare(d.Config); err != nil {
			return err
		}
		return errors.Join(w.objects.Wake("GitRepository").Start(ctx, w.woken), w.serve(ctx, ready))
	})
	<-ready
	return w
}

func (w *world) prepare(config *rest.Config) error {
	c, err := client.NewWithWatch(config, client.Options{})
	if w.refused {
		c = unwatched{c}
	}
	w.objects = followed.New(c)
	if w.told != nil {
		w.objects.TellOnly(w.told)
	}
	return err
}

// unwatched is a client that may not watch.
type unwatched struct{ client.WithWatch }

func (unwatched) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	return nil, apierrors.NewForbidden(corev1.Resource("secrets"), "", errors.New("no"))
}

func (w *world) serve(ctx context.Context, ready chan struct{}) error {
	close(ready)
	return w.objects.Start(ctx)
}

// secret creates a Secret with a value.
func (w *world) secret(name, value string) *corev1.Secret {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"key": value}}
	w.Create(s)
	return s
}

// read reads the value of a Secret for a user.
func (w *world) read(name string, fresh bool) (string, error) {
	w.t.Helper()
	var s corev1.Secret
	err := w.objects.For(w.user, fresh).Get(w.t.Context(), types.NamespacedName{Namespace: w.Namespace, Name: name}, &s)
	return string(s.Data["key"]), err
}

// settle waits until a Secret is followed: until reading it asks nobody.
func (w *world) settle(name string) {
	w.t.Helper()
	w.Eventually("a Secret that is followed", func() bool {
		before := w.Traffic.Count(testplane.Any)
		_, err := w.read(name, false)
		return (err == nil || apierrors.IsNotFound(err)) && w.Traffic.Count(testplane.Any) == before
	})
}

// waitWoken waits for a request for the user.
func (w *world) waitWoken() {
	w.t.Helper()
	w.Eventually("a request for who reads", func() bool { return w.woken.Len() > 0 })
	request, _ := w.woken.Get()
	w.woken.Done(request)
	if request.NamespacedName != w.user.NamespacedName {
		w.t.Errorf("a request for %s, want %s", request, w.user.NamespacedName)
	}
}

func TestReadingAgainAsksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("one", "first")
	w.settle("one")
	allow := w.Traffic.Forbid(testplane.Any)
	for range 5 {
		if got, err := w.read("one", false); err != nil || got != "first" {
			t.Errorf("read %q, %v", got, err)
		}
	}
	allow()
	before := w.Traffic.Count(testplane.Any)
	if got, err := w.read("one", true); err != nil || got != "first" || w.Traffic.Count(testplane.Any) == before {
		t.Errorf("read anew: %q, %v by %d requests", got, err, w.Traffic.Count(testplane.Any)-before)
	}
	if w.woken.Len() > 0 {
		t.Error("somebody is woken though nothing has changed")
	}
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.secret("one", "first")
	w.settle("one")
	w.Patch(s, "test", "stringData: {key: second}")
	w.waitWoken()
	if got, err := w.read("one", false); err != nil || got != "second" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := w.Client.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.waitWoken()
	_, followed := w.read("one", false)
	_, fresh := w.read("one", true)
	if !apierrors.IsNotFound(followed) || !apierrors.IsNotFound(fresh) || followed.Error() != fresh.Error() {
		t.Errorf("%v, want %v", followed, fresh)
	}
	w.secret("one", "third")
	w.waitWoken()
	if got, err := w.read("one", false); err != nil || got != "third" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestComingIsTold: whoever misses a Secret need not look for it again and again.
func TestComingIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.read("one", false); !apierrors.IsNotFound(err) {
		t.Fatalf("%v, want that there is none", err)
	}
	w.settle("one")
	w.secret("one", "first")
	w.waitWoken()
	if got, err := w.read("one", false); err != nil || got != "first" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestOthersAreNotTold: each Secret is its users' own.
func TestOthersAreNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("one", "first")
	other := w.secret("other", "first")
	w.settle("one")
	w.Patch(other, "test", "stringData: {key: second}")
	w.secret("third", "first")
	w.Patch(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "one"}}, "test", "stringData: {key: second}")
	w.waitWoken()
	if w.woken.Len() > 0 {
		t.Error("somebody is woken by a Secret that nobody reads")
	}
}

// TestForget: what nobody uses any more is not followed.
func TestForget(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*world){
		"a user that is gone": func(w *world) { w.objects.Forget(w.user) },
		"a user that is idle": func(w *world) {
			w.objects.At(time.Now().Add(24 * time.Hour))
			w.objects.Sweep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.secret("one", "first")
			w.settle("one")
			if diff := cmp.Diff(1, w.objects.Followed()); diff != "" {
				t.Errorf("followed (-want +got):\n%s", diff)
			}
			forget(w)
			if diff := cmp.Diff(0, w.objects.Followed()); diff != "" {
				t.Errorf("followed (-want +got):\n%s", diff)
			}
			w.settle("one") // it may be used again
		})
	}
}

// TestWatchThatIsRefused: then there is what every read asks for.
func TestWatchThatIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, &world{Plane: testplane.Start(t), t: t, refused: true})
	s := w.secret("one", "first")
	for _, value := range []string{"second", "third"} {
		w.Patch(s, "test", "stringData: {key: "+value+"}")
		if got, err := w.read("one", false); err != nil || got != value {
			t.Errorf("read %q, %v; want %q", got, err, value)
		}
	}
}

// TestKinds: ServiceAccounts and ConfigMaps are followed, too; other kinds are only read.
func TestKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := types.NamespacedName{Namespace: w.Namespace, Name: "robot"}
	w.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot", Annotations: map[string]string{"a": "b"}}})
	w.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "robot"}, Data: map[string]string{"a": "b"}})
	w.Create(&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "robot"}})
	reads := w.objects.For(w.user, false)
	w.Eventually("an account and a map that are followed", func() bool {
		before := w.Traffic.Count(testplane.Any)
		var account corev1.ServiceAccount
		var config corev1.ConfigMap
		return reads.Get(t.Context(), name, &account) == nil && account.Annotations["a"] == "b" &&
			reads.Get(t.Context(), name, &config) == nil && config.Data["a"] == "b" && w.Traffic.Count(testplane.Any) == before
	})
	if err := reads.Get(t.Context(), name, &corev1.LimitRange{}); err != nil {
		t.Error(err)
	}
	if n := w.objects.Followed(); n != 2 {
		t.Errorf("%d objects are followed, want two", n)
	}
}

// TestTellOnly: what is not selected changes in silence, and is read as it is.
func TestTellOnly(t *testing.T) {
	t.Parallel()
	w := start(t, &world{Plane: testplane.Start(t), t: t, told: labels.SelectorFromSet(labels.Set{"watch": "Enabled"})})
	silent, loud := w.secret("silent", "first"), w.secret("loud", "first")
	w.Patch(loud, "test", "metadata: {labels: {watch: Enabled}}")
	w.settle("silent")
	w.settle("loud")
	w.Patch(silent, "test", "stringData: {key: second}")
	w.Eventually("the new value", func() bool {
		got, err := w.read("silent", false)
		return err == nil && got == "second"
	})
	if w.woken.Len() > 0 {
		t.Error("the user was woken by what is not selected")
	}
	w.Patch(loud, "test", "stringData: {key: second}")
	w.waitWoken()
}
