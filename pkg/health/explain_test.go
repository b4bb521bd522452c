package health_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// shelf is a source of one object and some Pods.
type shelf struct {
	*barred
	key  watch.Key
	pods []unstructured.Unstructured
	asks *[]metav1.ListOptions
}

// List implements watch.Source.
func (s shelf) List(_ context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	*s.asks = append(*s.asks, opts)
	if s.key.Resource.Resource != "pods" || s.key.Namespace != "ns" {
		return nil, errors.New("no Pods here")
	}
	return &unstructured.UnstructuredList{Items: s.pods}, nil
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const (
		fine      = "phase: Running, containerStatuses: [{name: main, ready: true, state: {running: {}}}]"
		starting  = "phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: ContainerCreating}}}]"
		pulling   = "phase: Pending, containerStatuses: [{name: side, state: {running: {}}}, {name: main, state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image \"example.com/a\"'}}}]"
		looping   = "phase: Running, containerStatuses: [{name: main, state: {waiting: {reason: CrashLoopBackOff, message: back-off 40s restarting}}, lastState: {terminated: {exitCode: 2, reason: Error, message: the password is sesame}}}]"
		killed    = "phase: Running, containerStatuses: [{name: main, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]"
		dead      = "phase: Failed, containerStatuses: [{name: main, state: {terminated: {exitCode: 1, reason: Error}}}]"
		done      = "phase: Succeeded, containerStatuses: [{name: main, state: {terminated: {exitCode: 0, reason: Completed}}}]"
		nowhere   = "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes are available'}]"
		initLoops = "phase: Pending, initContainerStatuses: [{name: init, state: {waiting: {reason: CrashLoopBackOff}}}], containerStatuses: [{name: main, state: {waiting: {reason: PodInitializing}}}]"
	)
	workload := func(kind string) string {
		return "{apiVersion: apps/v1, kind: " + kind + ", metadata: {namespace: ns, name: app}, spec: {selector: {matchLabels: {app: a}, matchExpressions: [{key: tier, operator: In, values: [web]}]}}}"
	}
	tests := map[string]struct {
		why  string
		of   string   // a Deployment if empty
		pods []string // b, a
		want string
	}{
		"image":             {why: "what most people run into", pods: []string{fine, pulling}, want: `Pod a: container "main": ImagePullBackOff: Back-off pulling image "example.com/a"`},
		"first by name":     {why: "so that it is the same each time", pods: []string{looping, pulling}, want: `Pod a: container "main": ImagePullBackOff: Back-off pulling image "example.com/a"`},
		"crash":             {why: "neither seconds nor what the program said", pods: []string{looping, fine}, want: `Pod b: container "main": CrashLoopBackOff: ended by exit code 2`},
		"memory":            {why: "the reason says more than the code", pods: []string{killed}, want: `Pod b: container "main": CrashLoopBackOff: ended by OOMKilled, exit code 137`},
		"init container":    {why: "the others wait for it", pods: []string{initLoops}, want: `Pod b: container "init": CrashLoopBackOff`},
		"no room":           {why: "the scheduler says why", pods: []string{nowhere}, want: "Pod b: Unschedulable: 0/3 nodes are available"},
		"ended":             {why: "Pods of Jobs do", pods: []string{done, dead}, want: `Pod a: container "main": ended by exit code 1`},
		"nothing wrong":     {why: "then nothing is said", pods: []string{fine, starting}, want: ""},
		"stateful set":      {why: "kstatus says only that it is in progress", of: workload("StatefulSet"), pods: []string{pulling}, want: `Pod b: container "main": ImagePullBackOff: Back-off pulling image "example.com/a"`},
		"Pods refused":      {why: "a quota, or a webhook", of: "{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: ns, name: app}, spec: {selector: {matchLabels: {app: a}}}, status: {conditions: [{type: ReplicaFailure, status: 'True', message: exceeded quota}]}}", want: "exceeded quota"},
		"Pod":               {why: "it may be applied alone", of: "{apiVersion: v1, kind: Pod, metadata: {namespace: ns, name: app}, status: {" + pulling + "}}", want: `container "main": ImagePullBackOff: Back-off pulling image "example.com/a"`},
		"no workload":       {why: "nothing is known of its inside", of: "{apiVersion: example.com/v1, kind: Widget, metadata: {namespace: ns, name: app}}", pods: []string{pulling}, want: ""},
		"selects nothing":   {why: "all Pods of the namespace are not its own", of: "{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: ns, name: app}}", pods: []string{pulling}, want: ""},
		"a flood of words":  {why: "a message has its limit", pods: []string{strings.Replace(nowhere, "0/3", strings.Repeat("0", 1000), 1)}, want: "Pod b: Unschedulable: " + strings.Repeat("0", 278) + "..."},
		"not to be decoded": {why: "nothing may panic", pods: []string{"containerStatuses: {name: main}"}, want: ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := tc.of
			if of == "" {
				of = workload("Deployment")
			}
			obj := object(t, of)
			var pods []unstructured.Unstructured
			for i, status := range tc.pods {
				pods = append(pods, *object(t, "{apiVersion: v1, kind: Pod, metadata: {namespace: ns, name: "+[]string{"b", "a"}[i]+"}, status: {"+status+"}}"))
			}
			var asks []metav1.ListOptions
			w := health.NewWatcher(func(k watch.Key) watch.Source {
				return shelf{barred: newBarred(obj), key: k, pods: pods, asks: &asks}
			}, health.Options{}, nil)
			if got := w.Explain(t.Context(), manifest.IDOf(obj)); got != tc.want {
				t.Errorf("Explain() = %q, want %q (%s)", got, tc.want, tc.why)
			}
			for _, ask := range asks {
				if !strings.HasPrefix(ask.LabelSelector, "app=a") || ask.Limit == 0 {
					t.Errorf("Pods were asked for by %+v; want those of the selector, and a limit", ask)
				}
			}
			missing := manifest.IDOf(obj)
			missing.Name = "missing"
			if got := w.Explain(t.Context(), missing); got != "" {
				t.Errorf("Explain() of what is not there = %q", got)
			}
		})
	}
}

func TestExplainsADeploymentWithoutRoom(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	w := newWorld(t, p, p.Config(), health.Options{Lone: true})
	app := object(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {nodeSelector: {nowhere: 'true'}, containers: [{name: a, image: example.com/a}]}}
`)
	p.Create(app)
	p.Eventually("the scheduler has said why", func() bool {
		return strings.Contains(w.Explain(t.Context(), manifest.IDOf(app)), ": Unschedulable: ")
	})
}
