package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// seldom is the interval of what does nothing unless it is told.
const seldom = time.Hour

// oldTag is the tag that files have when they come to a repository. No policy selects it.
const oldTag = "0.1.0"

// markedFile is a file of a Deployment whose image a policy selects.
const markedFile = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NAMESPACE, labels: {app: NAME}}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
        - name: app
          image: IMAGE:TAG # {"$imagepolicy": "POLICY"}
          resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 64Mi}}
`

// imageTag is that of a round, higher than those of all rounds before.
func imageTag(round int) string { return fmt.Sprintf("1.%d.0", round) }

// scanner is an ImageRepository of the registry.
func scanner(name string, r *images, interval time.Duration) *imagev1.ImageRepository {
	return &imagev1.ImageRepository{
		ObjectMeta: inNamespace(name),
		Spec:       imagev1.ImageRepositorySpec{Image: r.image(name), Insecure: true, Interval: metav1.Duration{Duration: interval}},
	}
}

// selector is an ImagePolicy of an ImageRepository.
func selector(name, repository, versions string) *imagev1.ImagePolicy {
	return &imagev1.ImagePolicy{
		ObjectMeta: inNamespace(name),
		Spec: imagev1.ImagePolicySpec{
			ImageRepositoryRef: meta.NamespacedObjectReference{Name: repository},
			Policy:             imagev1.ImagePolicyChoice{SemVer: &imagev1.SemVerPolicy{Range: versions}},
		},
	}
}

// updater is an ImageUpdateAutomation of a GitRepository.
func updater(name, source string, interval time.Duration) *imagev1.ImageUpdateAutomation {
	return &imagev1.ImageUpdateAutomation{
		ObjectMeta: inNamespace(name),
		Spec: imagev1.ImageUpdateAutomationSpec{
			SourceRef: imagev1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: source},
			Interval:  metav1.Duration{Duration: interval},
			GitSpec:   &imagev1.GitSpec{Commit: imagev1.CommitSpec{Author: imagev1.CommitUser{Name: "Bench", Email: "bench@example.com"}}},
		},
	}
}

func inNamespace(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// selects says that an event tells of a policy that has selected a tag.
func selects(tag string) func(watch.Event) bool {
	return func(e watch.Event) bool {
		p, ok := e.Object.(*imagev1.ImagePolicy)
		return ok && p.Status.LatestRef != nil && p.Status.LatestRef.Tag == tag
	}
}

// untilSelected does something and returns when a policy has selected a tag.
func (w *world) untilSelected(ctx context.Context, name, tag string, do func(context.Context) error) (time.Time, error) {
	v, err := w.follow(ctx, &imagev1.ImagePolicyList{}, named(namespace, name)...)
	if err != nil {
		return time.Time{}, err
	}
	defer v.stop()
	if err := do(ctx); err != nil {
		return time.Time{}, err
	}
	return v.until(ctx, once{"that the policy selects " + tag, selects(tag)})
}

// untilMoved returns when the branch of a repository has another commit, and which.
// Whether it has is asked of the files of the git server, of which nobody else knows.
func (w *world) untilMoved(ctx context.Context, repo *gitserver.Repo, from string) (string, time.Time, error) {
	const look = 2 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, w.opts.limit(), fmt.Errorf("no commit came within %s", w.opts.limit()))
	defer cancel()
	for {
		head, err := repo.Head(branch)
		if err != nil || head != from {
			return head, time.Now(), err
		}
		if err := pause(ctx, look); err != nil {
			return "", time.Time{}, err
		}
	}
}

// create creates objects, one after the other.
func (w *world) create(ctx context.Context, objects ...client.Object) error {
	for _, obj := range objects {
		if err := w.Client.Create(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes objects, and waits until the cluster has come to rest.
func (w *world) remove(ctx context.Context, objects ...client.Object) error {
	for _, obj := range objects {
		if err := w.Client.Delete(ctx, obj); err != nil {
			return err
		}
	}
	return w.settle(ctx)
}
