package health_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/health"
)

func TestStatusString(t *testing.T) {
	for s, want := range []string{"Unknown", "InProgress", "Current", "Failed", "Terminating", "NotFound", "Status(6)"} {
		if got := health.Status(s).String(); got != want {
			t.Errorf("Status(%d).String() = %q, want %q", s, got, want)
		}
	}
	if got := health.Status(-1).String(); got != "Status(-1)" {
		t.Errorf("Status(-1).String() = %q", got)
	}
}

// row is an object and what is to be said of it.
type row struct {
	why     string
	in      string
	want    health.Status
	message string // part of it
}

func checkRows(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, tc := range rows {
		t.Run(name, func(t *testing.T) {
			got, message := health.Of(object(t, tc.in))
			if got != tc.want || !strings.Contains(message, tc.message) {
				t.Errorf("Of() = %s, %q; want %s, %q (%s)", got, message, tc.want, tc.message, tc.why)
			}
		})
	}
}

func TestOfDeployment(t *testing.T) {
	deployment := func(status string) string {
		return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, generation: 2}, spec: {replicas: 3, progressDeadlineSeconds: 600}, status: {" + status + "}}"
	}
	const (
		progressing = "{type: Progressing, status: 'True', reason: ReplicaSetUpdated}"
		complete    = "{type: Progressing, status: 'True', reason: NewReplicaSetAvailable}"
		available   = "{type: Available, status: 'True', reason: MinimumReplicasAvailable}"
		unavailable = "{type: Available, status: 'False', reason: MinimumReplicasUnavailable}"
		exceeded    = "{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}"
	)
	counts := func(all, updated, ready, avail int) string {
		return fmt.Sprintf("observedGeneration: 2, replicas: %d, updatedReplicas: %d, readyReplicas: %d, availableReplicas: %d, ", all, updated, ready, avail)
	}
	checkRows(t, map[string]row{
		"just created":      {why: "its controller has not seen it", in: deployment(""), want: health.InProgress, message: "Replicas: 0/3"},
		"not yet seen":      {why: "the status is about the spec before", in: deployment("observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [" + complete + ", " + available + "]"), want: health.InProgress, message: "generation is 2, but latest observed generation is 1"},
		"scaling up":        {why: "Pods are missing", in: deployment(counts(1, 1, 0, 0) + "conditions: [" + progressing + ", " + unavailable + "]"), want: health.InProgress, message: "Replicas: 1/3"},
		"rolling out":       {why: "old Pods run still", in: deployment(counts(4, 2, 3, 3) + "conditions: [" + progressing + ", " + available + "]"), want: health.InProgress, message: "Updated: 2/3"},
		"old Pods leave":    {why: "they serve still", in: deployment(counts(4, 3, 4, 4) + "conditions: [" + progressing + ", " + available + "]"), want: health.InProgress, message: "Pending termination: 1"},
		"Pods not ready":    {why: "they do not serve", in: deployment(counts(3, 3, 1, 1) + "conditions: [" + progressing + ", " + unavailable + "]"), want: health.InProgress, message: "Available: 1/3"},
		"available":         {why: "all is done", in: deployment(counts(3, 3, 3, 3) + "conditions: [" + complete + ", " + available + "]"), want: health.Current, message: "Deployment is available. Replicas: 3"},
		"deadline exceeded": {why: "it will not get there by itself", in: deployment(counts(3, 3, 1, 1) + "conditions: [" + exceeded + ", " + unavailable + "]"), want: health.Failed, message: "Progress deadline exceeded"},
	})
}

func TestOfCustomResource(t *testing.T) {
	widget := func(status string) string {
		return "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, generation: 3}, spec: {x: 1}, status: {" + status + "}}"
	}
	checkRows(t, map[string]row{
		"no conditions":         {why: "no more is known of it than that it exists", in: widget(""), want: health.Current},
		"no status":             {why: "no more is known of it than that it exists", in: "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, generation: 3}}", want: health.Current},
		"unknown conditions":    {why: "they mean nothing to us", in: widget("conditions: [{type: Shiny, status: 'False'}]"), want: health.Current},
		"Ready":                 {why: "", in: widget("observedGeneration: 3, conditions: [{type: Ready, status: 'True'}]"), want: health.Current, message: "Resource is Ready"},
		"not Ready":             {why: "it may become so", in: widget("observedGeneration: 3, conditions: [{type: Ready, status: 'False', reason: Broken, message: no water}]"), want: health.InProgress, message: "no water"},
		"Ready unknown":         {why: "it may become so", in: widget("observedGeneration: 3, conditions: [{type: Ready, status: Unknown, message: wait}]"), want: health.InProgress, message: "wait"},
		"Reconciling":           {why: "Ready is about the spec before", in: widget("observedGeneration: 3, conditions: [{type: Ready, status: 'True'}, {type: Reconciling, status: 'True', message: working}]"), want: health.InProgress, message: "working"},
		"not Reconciling":       {why: "only True means something", in: widget("conditions: [{type: Ready, status: 'True'}, {type: Reconciling, status: 'False'}, {type: Stalled, status: 'False'}]"), want: health.Current},
		"Stalled":               {why: "it will not get there by itself", in: widget("observedGeneration: 3, conditions: [{type: Ready, status: 'False'}, {type: Stalled, status: 'True', message: never}]"), want: health.Failed, message: "never"},
		"generation behind":     {why: "Ready is about the spec before", in: widget("observedGeneration: 2, conditions: [{type: Ready, status: 'True'}]"), want: health.InProgress, message: "generation is 3, but latest observed generation is 2"},
		"generation never seen": {why: "Flux objects begin so", in: widget("observedGeneration: -1"), want: health.InProgress, message: "latest observed generation is -1"},
		"Stalled, not seen":     {why: "the new spec may help", in: widget("observedGeneration: 2, conditions: [{type: Stalled, status: 'True'}]"), want: health.InProgress},
		"terminating":           {why: "it is going, however healthy", in: "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}, status: {conditions: [{type: Ready, status: 'True'}]}}", want: health.Terminating},
		"no sense":              {why: "nothing can be said, and nothing may panic", in: widget("conditions: {type: Ready}"), want: health.Unknown, message: "cannot restore slice"},
	})
}

func TestOfJob(t *testing.T) {
	job := func(spec, status string) string {
		return "{apiVersion: batch/v1, kind: Job, metadata: {name: a, generation: 1}, spec: {completions: 2" + spec + "}, status: {" + status + "}}"
	}
	const running = "startTime: '2026-01-01T00:00:00Z', "
	checkRows(t, map[string]row{
		"just created":     {why: "", in: job("", ""), want: health.InProgress, message: "Job not started"},
		"running":          {why: "what depends on a Job needs its result", in: job("", running+"active: 1, ready: 1"), want: health.InProgress, message: "Job in progress. success:0, active: 1, failed: 0"},
		"half done":        {why: "what depends on a Job needs its result", in: job("", running+"active: 1, succeeded: 1"), want: health.InProgress, message: "success:1"},
		"completed":        {why: "", in: job("", running+"succeeded: 2, conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]"), want: health.Current, message: "Job Completed. succeeded: 2/2"},
		"failing":          {why: "its Pods end first", in: job("", running+"failed: 7, conditions: [{type: FailureTarget, status: 'True'}]"), want: health.InProgress},
		"failed":           {why: "", in: job("", running+"failed: 7, conditions: [{type: Failed, status: 'True'}]"), want: health.Failed, message: "Job Failed. failed: 7/2"},
		"suspended":        {why: "it does what its spec asks: nothing", in: job(", suspend: true", "conditions: [{type: Suspended, status: 'True'}]"), want: health.Current, message: "Job is suspended"},
		"about to suspend": {why: "the spec decides", in: job(", suspend: true", running+"active: 1"), want: health.Current, message: "Job is suspended"},
		"terminating": {
			why:  "it is going",
			in:   "{apiVersion: batch/v1, kind: Job, metadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}, spec: {suspend: true}}",
			want: health.Terminating,
		},
		"Job of another group": {why: "we know nothing of it", in: "{apiVersion: example.com/v1, kind: Job, metadata: {name: a}, status: {" + running + "active: 1}}", want: health.Current},
	})
}

func TestOfOthers(t *testing.T) {
	crd := func(conditions string) string {
		return "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a, generation: 1}, status: {conditions: [" + conditions + "]}}"
	}
	checkRows(t, map[string]row{
		"definition, new":         {why: "its kind is not served", in: crd(""), want: health.InProgress, message: "Install in progress"},
		"definition, installing":  {why: "its kind is not served", in: crd("{type: NamesAccepted, status: 'True'}, {type: Established, status: 'False', reason: Installing}"), want: health.InProgress},
		"definition, established": {why: "", in: crd("{type: NamesAccepted, status: 'True'}, {type: Established, status: 'True'}"), want: health.Current},
		"definition, name taken":  {why: "it will not get there by itself", in: crd("{type: NamesAccepted, status: 'False', message: \"'widgets' is already in use\"}"), want: health.Failed, message: "already in use"},
		"stateful set, rolling":   {why: "", in: "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {replicas: 2}, status: {replicas: 2, readyReplicas: 1}}", want: health.InProgress, message: "Ready: 1/2"},
		"daemon set, not seen":    {why: "zero nodes is no proof", in: "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, generation: 1}}", want: health.InProgress},
		"claim, pending":          {why: "", in: "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Pending}}", want: health.InProgress},
		"claim, bound":            {why: "", in: "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Bound}}", want: health.Current},
		"service":                 {why: "nothing reports on it", in: "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}}", want: health.Current},
		"service, no address":     {why: "the API server has yet to give it one", in: "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer}}", want: health.InProgress, message: "ClusterIP not set"},
		"service, no balancer":    {why: "an address from outside may never come", in: "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {}}}", want: health.Current},
		"ingress, no address":     {why: "an address may never come", in: "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a, generation: 2}, spec: {ingressClassName: a}, status: {loadBalancer: {}}}", want: health.Current},
		"namespace, terminating":  {why: "it is going", in: "{apiVersion: v1, kind: Namespace, metadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}, status: {phase: Terminating}}", want: health.Terminating},
	})
}

func TestOfPod(t *testing.T) {
	pod := func(age time.Duration, status string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: a, creationTimestamp: '" + time.Now().Add(-age).UTC().Format(time.RFC3339) + "'}, status: {" + status + "}}"
	}
	const (
		nowhere  = "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable}]"
		gated    = "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]"
		looping  = "containerStatuses: [{name: side, state: {running: {}}}, {name: main, state: {waiting: {reason: CrashLoopBackOff}}}]"
		starting = "containerStatuses: [{name: main, state: {waiting: {reason: ImagePullBackOff}}}]"
	)
	checkRows(t, map[string]row{
		"just created":    {why: "nobody has seen it", in: pod(time.Hour, ""), want: health.InProgress},
		"ready":           {why: "", in: pod(time.Hour, "phase: Running, conditions: [{type: Ready, status: 'True'}]"), want: health.Current},
		"not ready":       {why: "it may become so", in: pod(time.Hour, "phase: Running, conditions: [{type: Ready, status: 'False'}]"), want: health.InProgress},
		"done":            {why: "", in: pod(time.Hour, "phase: Succeeded"), want: health.Current},
		"crash loop":      {why: "it will not get there by itself", in: pod(time.Hour, "phase: Running, "+looping), want: health.Failed, message: "main"},
		"pulls in vain":   {why: "the image may come", in: pod(time.Hour, "phase: Pending, "+starting), want: health.InProgress},
		"nowhere to run":  {why: "nobody makes room", in: pod(time.Hour, nowhere), want: health.Failed, message: "could not be scheduled"},
		"nowhere so far":  {why: "room is often made in a moment", in: pod(0, nowhere), want: health.InProgress},
		"not to run yet":  {why: "somebody holds it back", in: pod(time.Hour, gated), want: health.InProgress},
		"phase of no day": {why: "nothing can be said", in: pod(time.Hour, "phase: Odd"), want: health.Unknown},
	})
}

// Immediate kinds are never watched, so each must be Current as soon as it exists,
// and whatever its generation.
func TestImmediateIsCurrentAtOnce(t *testing.T) {
	n := 0
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if !health.Immediate(gvk.GroupKind()) {
			continue
		}
		n++
		obj := &unstructured.Unstructured{}
		obj.SetGroupVersionKind(gvk)
		obj.SetName("a")
		obj.SetGeneration(7)
		if got, message := health.Of(obj); got != health.Current {
			t.Errorf("a new %s is %s (%s), so it must be watched", gvk, got, message)
		}
	}
	if n == 0 {
		t.Error("no kind of the Kubernetes API is immediate")
	}
}

// A kind of the Kubernetes API whose type has no status has nobody who reports on
// it: watching such objects would only cost.
func TestImmediateIsWhatHasNoStatus(t *testing.T) {
	nothingToAwait := map[schema.GroupKind]string{
		{Kind: "ResourceQuota"}:                       "reports what is used, not whether it is ready",
		{Group: "networking.k8s.io", Kind: "Ingress"}: "an address may never come",
	}
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if _, ok := typ.FieldByName("ObjectMeta"); !ok || gvk.Version != "v1" || ofMachines(gvk.GroupKind()) {
			continue
		}
		_, hasStatus := typ.FieldByName("Status")
		_, exception := nothingToAwait[gvk.GroupKind()]
		if want := !hasStatus || exception; health.Immediate(gvk.GroupKind()) != want {
			t.Errorf("Immediate(%s) = %t, want %t: has its type a status: %t", gvk.GroupKind(), !want, want, hasStatus)
		}
	}
}

// ofMachines reports whether only programs write objects of a kind, so that it does
// not matter here.
func ofMachines(gk schema.GroupKind) bool {
	switch gk.Kind {
	case "Binding", "ComponentStatus", "ControllerRevision", "CSINode", "CSIStorageCapacity", "Event", "Eviction",
		"IPAddress", "Lease", "RangeAllocation", "ResourceSlice":
		return true
	}
	return false
}

func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return obj
}
