package testplane

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	authorizationv1 "k8s.io/api/authorization/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/daemon"
)

const (
	// waitTimeout bounds every wait of a test. It is generous: a wait that is
	// met ends at once.
	waitTimeout = 60 * time.Second
	pollEvery   = 20 * time.Millisecond
)

// Run starts a controller in this process: program is what its main would run.
// It watches the namespace of the test only, and ends with the test; ending
// earlier fails the test. The returned function stops it before that.
func (p *Plane) Run(name string, program func(context.Context, *daemon.Daemon) error, args ...string) (stop func()) {
	p.t.Helper()
	return p.RunWith(func(*daemon.Daemon) {}, name, program, args...)
}

// RunWith is Run of a controller whose process adjust may change before it starts: whom
// it connects as, and where its log goes.
func (p *Plane) RunWith(adjust func(*daemon.Daemon), name string, program func(context.Context, *daemon.Daemon) error, args ...string) (stop func()) {
	p.t.Helper()
	args = append([]string{
		"--metrics-addr=0", "--health-addr=0", "--watch-all-namespaces=false", "--log-level=error",
		"--interval-jitter-percentage=0",
	}, args...)
	d := daemon.New(name, args)
	d.Config = p.Config()
	d.Getenv = func(key string) string {
		if key == "RUNTIME_NAMESPACE" {
			return p.Namespace
		}
		return ""
	}
	adjust(d)
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := program(ctx, d); err != nil && ctx.Err() == nil {
			p.t.Errorf("%s ended: %v", name, err)
		}
	}()
	stop = func() { cancel(); <-ended }
	p.t.Cleanup(stop)
	return stop
}

// Create creates obj in the namespace of the test, unless it names another, and
// returns it.
func (p *Plane) Create(obj client.Object) client.Object {
	p.t.Helper()
	if obj.GetNamespace() == "" {
		obj.SetNamespace(p.Namespace)
	}
	if err := p.Client.Create(p.t.Context(), obj); err != nil {
		p.t.Fatalf("creating %s: %v", obj.GetName(), err)
	}
	return obj
}

// Patch applies a JSON merge patch, written as YAML, as some other writer.
func (p *Plane) Patch(obj client.Object, manager, patch string) {
	p.t.Helper()
	data, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		p.t.Fatalf("patch is no YAML: %v", err)
	}
	if err := p.Client.Patch(p.t.Context(), obj, client.RawPatch(types.MergePatchType, data), client.FieldOwner(manager)); err != nil {
		p.t.Fatalf("patching %s: %v", obj.GetName(), err)
	}
}

// Get reads obj again and reports whether it exists.
func (p *Plane) Get(obj client.Object) bool {
	p.t.Helper()
	if err := p.Client.Get(p.t.Context(), client.ObjectKeyFromObject(obj), obj); client.IgnoreNotFound(err) != nil {
		p.t.Fatalf("reading %s: %v", obj.GetName(), err)
	} else if err != nil {
		return false
	}
	return true
}

// tokens makes the tokens of Poke differ.
var tokens atomic.Int64

// Poke asks for a run now, as a user does, and returns the token.
func (p *Plane) Poke(obj client.Object) string {
	p.t.Helper()
	token := "poke-" + strconv.FormatInt(tokens.Add(1), 10) + "-" + strconv.FormatInt(time.Now().UnixNano(), 10)
	p.Patch(obj, "test", "metadata: {annotations: {"+meta.ReconcileRequestAnnotation+": "+token+"}}")
	return token
}

// WaitHandled waits until the last Poke of obj was acted upon.
func (p *Plane) WaitHandled(obj conditions.Getter) {
	p.t.Helper()
	p.Wait("the request is handled", obj, func() bool {
		var o struct {
			Status meta.ReconcileRequestStatus `json:"status"`
		}
		data, err := json.Marshal(obj)
		if err != nil || json.Unmarshal(data, &o) != nil {
			return false
		}
		return o.Status.LastHandledReconcileAt == obj.GetAnnotations()[meta.ReconcileRequestAnnotation]
	})
}

// WaitReady waits until obj is Ready in its present generation.
func (p *Plane) WaitReady(obj conditions.Getter) {
	p.t.Helper()
	p.Wait("Ready", obj, func() bool {
		c := conditions.Get(obj, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == obj.GetGeneration()
	})
}

// WaitCondition waits until obj has the condition with status and reason in its
// present generation, and returns it.
func (p *Plane) WaitCondition(obj conditions.Getter, conditionType string, status metav1.ConditionStatus, reason string) *metav1.Condition {
	p.t.Helper()
	p.Wait(conditionType+" "+string(status)+" "+reason, obj, func() bool {
		c := conditions.Get(obj, conditionType)
		return c != nil && c.Status == status && c.Reason == reason && c.ObservedGeneration == obj.GetGeneration()
	})
	return conditions.Get(obj, conditionType)
}

// WaitMay waits until the API server knows whether a ServiceAccount of the namespace may
// look for objects of a core resource there: a Role that was just bound may not count yet.
func (p *Plane) WaitMay(account, resource string, may bool) {
	p.t.Helper()
	p.Eventually(fmt.Sprintf("the rights of %s to %s to be known", account, resource), func() bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:" + p.Namespace + ":" + account,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: p.Namespace, Verb: "get", Resource: resource},
		}}
		if err := p.Client.Create(p.t.Context(), review); err != nil {
			p.t.Fatalf("asking what %s may: %v", account, err)
		}
		return review.Status.Allowed == may
	})
}

// Wait reads obj again and again until it exists and ok holds.
func (p *Plane) Wait(what string, obj client.Object, ok func() bool) {
	p.t.Helper()
	if err := p.poll(func() (bool, error) { return p.Get(obj) && ok(), nil }); err != nil {
		state, _ := yaml.Marshal(obj)
		p.t.Fatalf("waited %s for %s of %T %s; it is\n%s", waitTimeout, what, obj, client.ObjectKeyFromObject(obj), state)
	}
}

// WaitGone waits until obj no longer exists.
func (p *Plane) WaitGone(obj client.Object) {
	p.t.Helper()
	if err := p.poll(func() (bool, error) { return !p.Get(obj), nil }); err != nil {
		p.t.Fatalf("waited %s for %T %s to be gone", waitTimeout, obj, client.ObjectKeyFromObject(obj))
	}
}

// Eventually waits until ok holds.
func (p *Plane) Eventually(what string, ok func() bool) {
	p.t.Helper()
	if err := p.poll(func() (bool, error) { return ok(), nil }); err != nil {
		p.t.Fatalf("waited %s for %s", waitTimeout, what)
	}
}

func (p *Plane) poll(ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), waitTimeout)
	defer cancel()
	return eventually(ctx, ok)
}

// eventually calls ok until it holds, fails or ctx ends.
func eventually(ctx context.Context, ok func() (bool, error)) error {
	return wait.PollUntilContextCancel(ctx, pollEvery, true, func(context.Context) (bool, error) { return ok() })
}

// applyPatch is a server-side apply of content.
func applyPatch(content map[string]any) client.Patch { return apply(content) }

type apply map[string]any

func (apply) Type() types.PatchType                { return types.ApplyPatchType }
func (a apply) Data(client.Object) ([]byte, error) { return json.Marshal(map[string]any(a)) }

// objects returns the items of a list.
func objects(list client.ObjectList) []client.Object {
	items, err := apimeta.ExtractList(list)
	if err != nil {
		return nil
	}
	var out []client.Object
	for _, item := range items {
		if obj, ok := item.(client.Object); ok {
			out = append(out, obj)
		}
	}
	return out
}
