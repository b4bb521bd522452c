package health_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
)

// Nothing tells a watch that the time of a Pod is over that finds no room.
func TestPodThatFindsNoRoom(t *testing.T) {
	t.Parallel()
	const (
		nowhere = "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable}]"
		ready   = "phase: Running, conditions: [{type: Ready, status: 'True'}]"
	)
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	pod := func(version, status string) *unstructured.Unstructured {
		obj := object(t, "{apiVersion: v1, kind: Pod, metadata: {namespace: ns, name: a, resourceVersion: '"+version+"'}, status: {"+status+"}}")
		obj.SetCreationTimestamp(metav1.NewTime(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))) // when a bubble begins
		return obj
	}
	tests := map[string]struct {
		why  string
		then func(*watcher) // after 10 of 15 seconds
		want string
		news int // wakes by time
	}{
		"for good":      {why: "nobody makes room", then: func(*watcher) {}, want: "[a Failed]", news: 1},
		"changed":       {why: "another try has failed, too", then: func(w *watcher) { w.Saw(whole(pods), pod("12", nowhere)) }, want: "[a Failed]", news: 1},
		"for a while":   {why: "room was made", then: func(w *watcher) { w.Saw(whole(pods), pod("12", ready)) }, want: "[]"},
		"gone":          {why: "somebody has deleted it", then: func(w *watcher) { w.Lost(whole(pods), pod("12", nowhere)) }, want: "[a NotFound]"},
		"listed again":  {why: "the stream was cut", then: func(w *watcher) { w.Listed(whole(pods), []metav1.Object{pod("11", nowhere)}, "15") }, want: "[a Failed]", news: 1},
		"awaited anew":  {why: "what is known stays while it is followed", then: func(w *watcher) { w.Await(owner("p"), nil) }, want: "[a Failed]", news: 1},
		"not to be had": {why: "rights were taken", then: func(w *watcher) { w.Refused(whole(pods), forbidden("watch")) }, want: "[a Unknown]"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatcher()
				for _, o := range []string{"o", "p"} {
					w.Await(owner(o), []health.Awaited{{ID: manifest.IDOf(pod("11", nowhere)), Resource: pods}})
				}
				w.Listed(whole(pods), nil, "10")
				w.Saw(whole(pods), pod("11", nowhere))
				<-time.After(10 * time.Second)
				if got := fmt.Sprint(w.verdicts("o")); got != "[a InProgress]" {
					t.Errorf("after ten seconds verdicts are %s", got)
				}
				tc.then(w)
				w.Await(owner("p"), nil)
				w.wakes()
				<-time.After(time.Minute)
				synctest.Wait()
				if got := fmt.Sprint(w.verdicts("o")); got != tc.want {
					t.Errorf("verdicts are %s, want %s (%s)", got, tc.want, tc.why)
				}
				if got := w.wakes(); len(got) != tc.news {
					t.Errorf("woke %q by time, want %d wakes (%s)", got, tc.news, tc.why)
				}
			})
		})
	}
}
