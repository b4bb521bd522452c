package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/await"
)

// otherRevision says that an object is at another revision than it was expected to reach.
type otherRevision struct{ revision string }

func (e *otherRevision) Error() string {
	return fmt.Sprintf("it is at %s, as the branch has moved meanwhile", e.revision)
}

// report is what an object says of itself.
type report struct {
	Spec struct {
		Suspend bool `json:"suspend"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration     int64              `json:"observedGeneration"`
		LastHandledReconcileAt string             `json:"lastHandledReconcileAt"`
		LastAttemptedRevision  string             `json:"lastAttemptedRevision"`
		Conditions             []metav1.Condition `json:"conditions"`
		Artifact               struct {
			Revision string `json:"revision"`
		} `json:"artifact"`
	} `json:"status"`
}

func (r report) ready() metav1.Condition {
	if c := apimeta.FindStatusCondition(r.Status.Conditions, meta.ReadyCondition); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func (r report) stalled() bool {
	return apimeta.IsStatusConditionTrue(r.Status.Conditions, meta.StalledCondition)
}

// reachesRevision holds of a source or a Kustomization that is Ready at a revision. What it says of
// runs before it has acted upon the request of a token does not count against it.
func reachesRevision(revision, token string) await.Condition {
	return func(obj *unstructured.Unstructured) await.Verdict {
		if obj == nil {
			return await.Verdict{Done: true, Err: await.ErrGone}
		}
		var r report
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &r); err != nil {
			return await.Verdict{Done: true, Err: fmt.Errorf("reading its status: %w", err)}
		}
		at := r.Status.LastAttemptedRevision
		if obj.GetKind() == sourcev1.GitRepositoryKind {
			at = r.Status.Artifact.Revision
		}
		seen := r.Status.ObservedGeneration == obj.GetGeneration()
		return r.verdict(seen, r.Status.LastHandledReconcileAt == token, at, revision)
	}
}

// verdict judges a report from a revision: whether it is about the spec as it is, and given
// after the request.
func (r report) verdict(seen, handled bool, at, revision string) await.Verdict {
	ready := r.ready()
	switch {
	case r.Spec.Suspend:
		return await.Verdict{Done: true, Err: errors.New("it is suspended")}
	case seen && ready.Status == metav1.ConditionTrue && at == revision:
		return await.Verdict{Done: true}
	case seen && ready.Status == metav1.ConditionTrue && handled:
		return await.Verdict{Done: true, Err: &otherRevision{at}}
	case seen && handled && ready.Status == metav1.ConditionFalse && (!passes(ready.Reason) || r.stalled()):
		return await.Verdict{Done: true, Err: errors.New(ready.Message)}
	case ready.Status == metav1.ConditionFalse:
		return await.Verdict{Why: ready.Message} // it is tried again
	}
	return await.Verdict{Why: "its controller has not reported on " + revision + " yet"}
}

// passes reports whether a failure ends without anybody who changes something. A Kustomization
// finds no artifact while an upgrade has source-controller start anew, which then fetches what
// it does not have any more.
func passes(reason string) bool {
	return reason == meta.DependencyNotReadyReason || reason == kustomizev1.ReasonArtifactFailed
}

// patience is how long controllers are waited for that may be what a run is to mend.
const patience = 10 * time.Second

// ahead has controllers that follow the branch fetch a revision before its objects are
// applied: until they have, they take these for drift, and undo them.
func (b *Bootstrap) ahead(ctx context.Context, revision string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	source := await.Target{GVK: sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind), Key: b.owner()}
	token, err := b.poke(ctx, source, revision)
	if err == nil {
		_, err = await.For(ctx, b.Client, source, reachesRevision(revision, token), nil)
	}
	if err != nil {
		b.Tell.Say("going on, although the controllers have not fetched %s", revision)
	}
}

// follow waits until the cluster runs from a revision of the branch, or from a newer one that
// the branch has got meanwhile, and returns that.
func (b *Bootstrap) follow(ctx context.Context, revision string) (string, error) {
	key := b.owner()
	source := await.Target{GVK: sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind), Key: key}
	sync := await.Target{GVK: kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind), Key: key}
	fetched := func(revision string) (string, error) { return b.reach(ctx, source, revision, nil) }
	b.Tell.Waiting("waiting for %s to be at %s", source, revision)
	revision, err := fetched(revision)
	if err != nil {
		return "", err
	}
	b.Tell.Done("%s is at %s", source, revision)
	b.Tell.Waiting("waiting for %s to be at %s", sync, revision)
	if revision, err = b.reach(ctx, sync, revision, fetched); err != nil {
		return "", err
	}
	b.Tell.Done("%s is at %s", sync, revision)
	return revision, nil
}

// reach waits until an object is at a revision, or at a newer one that the branch has got
// meanwhile, and returns that. What it gets revisions from is at a newer one first; nil if
// it is the source itself.
func (b *Bootstrap) reach(ctx context.Context, target await.Target, revision string, from func(revision string) (string, error)) (string, error) {
	for {
		token, err := b.poke(ctx, target, revision)
		if err != nil {
			return "", err
		}
		_, err = await.For(ctx, b.Client, target, reachesRevision(revision, token), nil)
		var other *otherRevision
		switch {
		case err == nil:
			return revision, nil
		case !errors.As(err, &other):
			return "", fmt.Errorf("%s: %w", target, err)
		}
		head, err := b.repo.Head(ctx, b.Options.Branch)
		if err != nil {
			return "", err
		}
		if now := revisionOf(b.Options.Branch, head); now != revision {
			b.Tell.Say("the branch has moved to %s meanwhile", now)
			revision = now
		} else if err := await.Pause(ctx, time.Second); err != nil { // it was looked at before the branch got there
			return "", fmt.Errorf("waiting for %s: %w: %w", target, err, other)
		}
		if from == nil {
			continue
		}
		if revision, err = from(revision); err != nil {
			return "", err
		}
	}
}

// poke asks the controller of an object for a run, unless the object is at the revision, and
// returns the token by which it is known that there was one.
func (b *Bootstrap) poke(ctx context.Context, target await.Target, revision string) (string, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(target.GVK)
	if err := b.Client.Get(ctx, target.Key, obj); err != nil {
		return "", fmt.Errorf("reading %s: %w", target, err)
	}
	if v := reachesRevision(revision, "")(obj); v.Done && v.Err == nil {
		return "", nil
	}
	token := b.Now().Format(time.RFC3339Nano)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, meta.ReconcileRequestAnnotation, token)
	if err := b.Client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager)); err != nil {
		return "", fmt.Errorf("asking for a run of %s: %w", target, err)
	}
	return token, nil
}
