package health_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// unsteady is a source whose streams end when a test wants it.
type unsteady struct {
	watch.Source

	mu      sync.Mutex
	streams []*cuttable
	lists   int           // streams since the cut that began with all objects
	gate    chan struct{} // until it is closed, no stream begins
	refusal error         // of the next stream that resumes
}

// Watch implements watch.Source.
func (u *unsteady) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	u.mu.Lock()
	gate := u.gate
	u.mu.Unlock()
	select {
	case <-gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := u.begin(opts); err != nil {
		return nil, err
	}
	inner, err := u.Source.Watch(ctx, opts)
	if err != nil {
		return nil, err
	}
	st := &cuttable{Interface: inner, events: make(chan apiwatch.Event), last: make(chan apiwatch.Event, 1), ended: make(chan struct{})}
	go st.pump()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.streams = append(u.streams, st)
	return st, nil
}

// begin notes that a stream begins, or tells why it does not.
func (u *unsteady) begin(opts metav1.ListOptions) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents {
		u.lists++
		return nil
	}
	err := u.refusal
	u.refusal = nil
	return err
}

// cut ends all streams, with a last event if that is not empty, and lets no new ones
// begin until the returned function is called.
func (u *unsteady) cut(last apiwatch.Event, refusal error) (resume func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	gate := make(chan struct{})
	u.gate, u.refusal, u.lists = gate, refusal, 0
	for _, st := range u.streams {
		st.last <- last
	}
	u.streams = nil
	return func() { close(gate) }
}

// listed reports whether objects were listed since the cut.
func (u *unsteady) listed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lists > 0
}

// cuttable is a stream that can be cut.
type cuttable struct {
	apiwatch.Interface
	events chan apiwatch.Event
	last   chan apiwatch.Event
	ended  chan struct{}
	once   sync.Once
}

func (c *cuttable) ResultChan() <-chan apiwatch.Event { return c.events }

func (c *cuttable) Stop() { c.once.Do(func() { close(c.ended); c.Interface.Stop() }) }

func (c *cuttable) pump() {
	defer close(c.events)
	for {
		var e apiwatch.Event
		over, ok := false, true
		select {
		case e, ok = <-c.Interface.ResultChan():
		case e = <-c.last:
			over = true
		case <-c.ended:
			return
		}
		if !ok {
			return
		}
		if e.Type != "" {
			select {
			case c.events <- e:
			case <-c.ended:
				return
			}
		}
		if over {
			c.Interface.Stop()
			return
		}
	}
}

// What happens while nobody watches is known when somebody does again.
func TestStreamThatEndsLosesNoVerdict(t *testing.T) {
	t.Parallel()
	expired := apierrors.NewResourceExpired("too old resource version").Status()
	broken := apierrors.NewInternalError(context.DeadlineExceeded).Status()
	tests := map[string]struct {
		why     string
		last    apiwatch.Event
		refusal error
		relists bool // what came meanwhile cannot be had otherwise
	}{
		"it ends":                 {why: "API servers end each stream after a while"},
		"it breaks":               {why: "connections do", last: apiwatch.Event{Type: apiwatch.Error, Object: &broken}},
		"its version expires":     {why: "the API server has forgotten what it was", last: apiwatch.Event{Type: apiwatch.Error, Object: &expired}, relists: true},
		"it may not go on":        {why: "the API server has forgotten what came since", refusal: apierrors.NewResourceExpired("too old resource version"), relists: true},
		"the server has no time":  {why: "it starts, or is overloaded", refusal: apierrors.NewTooManyRequests("try later", 0)},
		"the server is not ready": {why: "it starts", refusal: apierrors.NewServiceUnavailable("not ready")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := testplane.Start(t)
			objects, err := dynamic.NewForConfig(p.Config())
			if err != nil {
				t.Fatal(err)
			}
			open := make(chan struct{})
			close(open)
			var source *unsteady
			w := newWorldOf(t, p, func(k watch.Key) watch.Source {
				source = &unsteady{Source: watch.Objects(objects)(k), gate: open}
				return source
			}, health.Options{Selector: "owner=" + p.Namespace})
			for _, name := range []string{"lit", "torn", "gone", "back"} {
				p.Create(w.lamp(name, "off"))
			}
			if err := p.Client.Delete(t.Context(), w.lamp("back", "")); err != nil {
				t.Fatal(err)
			}
			w.awaitLamps("lit", "torn", "gone", "back")
			w.follow("before the cut", "back NotFound", "gone InProgress", "lit InProgress", "torn InProgress")

			resume := source.cut(tc.last, tc.refusal)
			p.Patch(w.lamp("lit", ""), "test", "data: {light: 'on'}")
			p.Patch(w.lamp("torn", ""), "test", "data: {light: torn}")
			if err := p.Client.Delete(t.Context(), w.lamp("gone", "")); err != nil {
				t.Fatal(err)
			}
			p.Create(w.lamp("back", "on"))
			resume()
			w.follow("after the cut, "+tc.why, "gone NotFound", "torn Failed")
			p.Patch(w.lamp("torn", ""), "test", "data: {light: 'on'}")
			p.Create(w.lamp("gone", "on"))
			w.follow("by the new stream")
			if tc.relists && !source.listed() {
				t.Error("objects were not listed again, so the test proves nothing")
			}
		})
	}
}

// With a definition go all objects of its kind, and with another they come back.
func TestDefinitionGoesAndComesBack(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	w := newWorld(t, p, p.Config(), health.Options{Selector: "owner=" + p.Namespace})
	text := strings.NewReplacer("NS", p.Namespace)
	define := func() {
		crd := object(t, text.Replace(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.NS.example.com}
spec:
  group: NS.example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`))
		if err := p.Client.Create(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	crd := object(t, text.Replace("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.NS.example.com}}"))
	t.Cleanup(func() { _ = p.Client.Delete(context.WithoutCancel(t.Context()), crd) })
	thing := func() client.Object {
		return object(t, text.Replace("{apiVersion: NS.example.com/v1, kind: Thing, metadata: {namespace: NS, name: a, labels: {owner: NS}}, status: {conditions: [{type: Ready, status: 'True'}]}}"))
	}
	create := func() {
		t.Helper()
		p.Eventually("the kind is served", func() bool {
			err := p.Client.Create(t.Context(), thing())
			return err == nil || apierrors.IsAlreadyExists(err)
		})
	}

	// The kind is awaited before it is defined.
	w.Await(owner("o"), []health.Awaited{{
		ID:       manifest.ID{Group: p.Namespace + ".example.com", Kind: "Thing", Namespace: p.Namespace, Name: "a"},
		Resource: schema.GroupVersionResource{Group: p.Namespace + ".example.com", Version: "v1", Resource: "things"},
	}})
	if open := w.follow("before the definition", "a NotFound"); open[0].Message != "its kind is not served" {
		t.Errorf("the verdict says %q; want it to name the missing kind", open[0].Message)
	}
	define()
	create()
	w.follow("with the definition")
	for range 2 {
		if err := p.Client.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		w.follow("without the definition", "a NotFound")
		p.WaitGone(crd.DeepCopy())
		define()
		create()
		w.follow("with the definition again")
	}
}

// A tenant sees what it may see, and no more.
func TestWatchesByTheRightsOfATenant(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		verbs   string
		status  health.Status // of what is off
		message string
		reads   bool // objects are looked at
	}{
		"may watch":    {why: "rights in one namespace are enough", verbs: "[get, list, watch]", status: health.InProgress, message: "none of the expressions is true"},
		"may read":     {why: "then it is looked at", verbs: "[get]", status: health.InProgress, message: "none of the expressions is true (it may not be watched, so it is looked at every 5s)", reads: true},
		"may not read": {why: "the verdict says so", verbs: "[create]", message: "may neither be watched nor read", reads: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := testplane.Start(t)
			text := strings.NewReplacer("NS", p.Namespace, "VERBS", tc.verbs)
			for _, obj := range []string{
				"{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: NS, name: team}}",
				"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {namespace: NS, name: team}, rules: [{apiGroups: [''], resources: [configmaps], verbs: VERBS}]}",
				"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {namespace: NS, name: team}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: team}, subjects: [{kind: ServiceAccount, namespace: NS, name: team}]}",
			} {
				p.Create(object(t, text.Replace(obj)))
			}
			cfg := p.Config()
			cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + p.Namespace + ":team"}
			p.Eventually("the rights count", func() bool { return may(t, cfg, p.Namespace, tc.verbs) })
			p.Traffic.Reset()
			w := newWorld(t, p, cfg, health.Options{Lone: true})
			p.Create(w.lamp("a", "off"))
			w.awaitLamps("a")
			p.Eventually("the verdict says "+tc.message, func() bool {
				open := w.Check(owner("o"))
				return len(open) == 1 && open[0].Status == tc.status && strings.HasPrefix(open[0].Message, tc.message)
			})
			if tc.status == health.InProgress {
				p.Patch(w.lamp("a", ""), "test", "data: {light: 'on'}")
				w.follow("when it is on")
			}
			reads := p.Traffic.Count(func(r testplane.Request) bool {
				return r.Method == http.MethodGet && !r.Watch && strings.HasSuffix(r.Path, "/configmaps/a")
			})
			if (reads > 0) != tc.reads {
				t.Errorf("the object was read %d times, want some: %t (%s)", reads, tc.reads, tc.why)
			}
			for _, r := range p.Traffic.Requests() {
				if !strings.HasPrefix(r.Path, "/api/v1/namespaces/"+p.Namespace+"/") {
					t.Errorf("a request leaves the namespace: %s", r)
				}
			}
		})
	}
}

// may reports whether a tenant may do yet what its Role says.
func may(t *testing.T, cfg *rest.Config, namespace, verbs string) bool {
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = objects.Resource(configMaps()).Namespace(namespace).Get(t.Context(), "none", metav1.GetOptions{})
	return apierrors.IsNotFound(err) || !strings.Contains(verbs, "get")
}
