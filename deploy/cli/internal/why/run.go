package why

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/kinds"
)

// State is what an object says of itself.
type State struct {
	Ready   string    `json:"ready"` // True, False or Unknown; "" if it says nothing
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// StateOf returns what an object says of itself.
func StateOf(obj *unstructured.Unstructured) (State, error) {
	o, err := kinds.Read(obj)
	if err != nil {
		return State{}, err
	}
	c, _ := o.Condition(meta.ReadyCondition)
	return State{Ready: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.UTC()}, nil
}

// Run is the last complete run of a Kustomization, or the last action of a HelmRelease.
type Run struct {
	// Fetched is when the source got what it has now, and Revision what the run was about.
	Fetched  time.Time `json:"fetched,omitzero"`
	Revision string    `json:"revision,omitempty"`
	// Ended is when it was over, how, and what it had taken; zero if that is not noted.
	Ended  time.Time       `json:"ended,omitzero"`
	Result string          `json:"result,omitempty"`
	Took   metav1.Duration `json:"took,omitzero"`
	// Stages are what the time was spent on, in order.
	Stages []Stage `json:"stages,omitempty"`
}

// Stage is a part of a run.
type Stage struct {
	Name string          `json:"name"`
	Took metav1.Duration `json:"took"`
}

// stages are those of Kustomizations as status.history has them, in order, and what they
// are called.
var stages = [][2]string{
	{"waiting", "waiting"}, {"building", "building"}, {"validating", "validating"}, {"applying", "applying"},
	{"becomingHealthy", "becoming healthy"},
}

// RunOf returns the last run of an object; nil if there was none. The source may be nil.
func RunOf(obj, source *unstructured.Unstructured) (*Run, error) {
	var run *Run
	var err error
	switch obj.GetKind() {
	case kustomizev1.KustomizationKind:
		run, err = runOfKustomization(obj)
	case helmv2.HelmReleaseKind:
		run, err = runOfRelease(obj)
	}
	if err != nil || run == nil || source == nil {
		return run, err
	}
	text, _, _ := unstructured.NestedString(source.Object, "status", "artifact", "lastUpdateTime")
	if revisionOf(source) == run.Revision {
		run.Fetched, _ = time.Parse(time.RFC3339, text) // zero where it does not say
	}
	return run, nil
}

func runOfKustomization(obj *unstructured.Unstructured) (*Run, error) {
	var ks kustomizev1.Kustomization
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &ks); err != nil {
		return nil, err
	}
	if len(ks.Status.History) == 0 {
		return nil, nil
	}
	last := ks.Status.History[0]
	run := &Run{Revision: last.Metadata["revision"], Ended: last.LastReconciled.UTC(), Result: last.LastReconciledStatus, Took: last.LastReconciledDuration}
	for _, s := range stages {
		if took, err := time.ParseDuration(last.Metadata[s[0]]); err == nil {
			run.Stages = append(run.Stages, Stage{Name: s[1], Took: metav1.Duration{Duration: took}})
		}
	}
	return run, nil
}

func runOfRelease(obj *unstructured.Unstructured) (*Run, error) {
	var hr helmv2.HelmRelease
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &hr); err != nil {
		return nil, err
	}
	last := hr.Status.History.Latest()
	if last == nil {
		return nil, nil
	}
	run := &Run{Revision: last.ChartVersion, Ended: last.LastDeployed.UTC(), Result: last.Status + " as " + last.FullReleaseName()}
	action := string(hr.Status.LastAttemptedReleaseAction)
	if took := hr.Status.LastAttemptedReleaseActionDuration; took != nil && action != "" {
		run.Took = *took
		run.Stages = []Stage{{Name: action, Took: *took}}
	}
	return run, nil
}
