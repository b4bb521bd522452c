package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
)

const (
	namespace = "flux-system"
	appSpace  = "my-app"
)

// story is the steps, and what they share.
type story struct {
	*world
	out io.Writer
}

// tell goes through the steps.
func (s *story) tell(ctx context.Context) error {
	return play(ctx, s.out, []step{
		{"a GitRepository and a Kustomization are applied, the app is live and healthy", s.install},
		{"a commit that raises the image tag is live", s.upgrade},
		{"replicas set to 5 by hand are put back to 2", s.driftField},
		{"a Service deleted by hand is back", s.driftDelete},
		{"a file removed in Git removes its object", s.prune},
		{"a commit with invalid YAML leaves the app alone and says what is wrong", s.breakYAML},
		{"a commit that the API server refuses leaves the app alone and says what is wrong", s.breakObject},
		{"the fix heals", s.heal},
		{"an OCIRepository follows the versions 1.x in a registry, and its manifests are live", s.followReleases},
		{"the next release is live, and one that is out of range is not", s.nextRelease},
		{"a chart is pushed to the registry, its HelmRelease is applied, and its app is live and healthy", s.installChart},
		{"the next version of the chart is live and healthy", s.upgradeChart},
		{"replicas of the release set to 5 by hand are put back to 2, without another release", s.driftChart},
		{"an image in Git is marked to follow a policy, and its newest version is committed and live", s.automate},
		{"an image 1.0.1 is pushed, and goes its way until its Pods are healthy", s.pipeline},
	})
}

// step is one of a story.
type step struct {
	title string
	do    func(context.Context) (string, error)
}

// play goes through steps. Each says what happened and how long it took.
func play(ctx context.Context, out io.Writer, steps []step) error {
	fmt.Fprintln(out)
	for i, step := range steps {
		began := time.Now()
		detail, err := step.do(ctx)
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step.title, err)
		}
		fmt.Fprintf(out, "%d. %s (%s)\n", i+1, step.title, short(time.Since(began)))
		for line := range strings.Lines(detail) {
			fmt.Fprintf(out, "     %s\n", strings.TrimRight(line, "\n"))
		}
	}
	return nil
}

// install commits the app, applies both objects and waits until the app runs.
func (s *story) install(ctx context.Context) (string, error) {
	if err := s.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: appSpace}}); err != nil {
		return "", err
	}
	if _, err := s.repo.Commit("main", "Add my-app", gitserver.Files(app("1.0.0"))...); err != nil {
		return "", err
	}
	for _, text := range []string{gitRepository(s.gitURL), kustomization} {
		obj, err := decode(text)
		if err != nil {
			return "", err
		}
		if err := s.Client.Create(ctx, obj); err != nil {
			return "", err
		}
	}
	d := deployment()
	if err := s.Until(ctx, d, func() bool { return d.Status.AvailableReplicas == 2 }); err != nil {
		return "", err
	}
	ks := kustomizationObject()
	err := s.Until(ctx, ks, func() bool { return conditions.IsTrue(ks, meta.ReadyCondition) })
	return conditions.GetMessage(ks, meta.ReadyCondition), err
}

// upgrade commits a new tag.
func (s *story) upgrade(ctx context.Context) (string, error) {
	rev, err := s.push(ctx, "Raise the image to 1.1.0", gitserver.File("apps/my-app/deployment.yaml", deploymentYAML("1.1.0", "2")))
	if err != nil {
		return "", err
	}
	d := deployment()
	err = s.Until(ctx, d, func() bool { return image(d) == "registry.example.com/my-app:1.1.0" })
	return fmt.Sprintf("commit %.7s: %s", rev, image(d)), err
}

// driftField changes a field as another manager, as somebody would at 2 a.m.
func (s *story) driftField(ctx context.Context) (string, error) {
	d := deployment()
	if err := s.Client.Patch(ctx, d, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":5}}`)), client.FieldOwner("night-shift")); err != nil {
		return "", err
	}
	if *d.Spec.Replicas != 5 {
		return "", errors.New("the change by hand was not accepted")
	}
	if err := s.Until(ctx, d, func() bool { return *d.Spec.Replicas == 2 }); err != nil {
		return "", err
	}
	return s.event(ctx, "night-shift")
}

// driftDelete deletes an object.
func (s *story) driftDelete(ctx context.Context) (string, error) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: appSpace, Name: "my-app"}}
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(svc), svc); err != nil {
		return "", err
	}
	old := svc.UID
	if err := s.Client.Delete(ctx, svc); err != nil {
		return "", err
	}
	if err := s.Until(ctx, svc, func() bool { return stack.Exists(svc) && svc.UID != old }); err != nil {
		return "", err
	}
	return s.event(ctx, "deleted, restored")
}

// prune removes a file.
func (s *story) prune(ctx context.Context) (string, error) {
	if _, err := s.push(ctx, "Remove the settings", gitserver.Delete("apps/my-app/settings.yaml")); err != nil {
		return "", err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: appSpace, Name: "settings"}}
	if err := s.Until(ctx, cm, func() bool { return cm.UID == "" }); err != nil {
		return "", err
	}
	return s.event(ctx, "settings deleted")
}

// breakYAML commits a file that is no YAML.
func (s *story) breakYAML(ctx context.Context) (string, error) {
	return s.breakWith(ctx, "Break the indentation", "apiVersion: v1\nkind: Service\n  metadata: {name: my-app}\n", "service.yaml")
}

// breakObject commits an object that the API server refuses.
func (s *story) breakObject(ctx context.Context) (string, error) {
	return s.breakWith(ctx, "Ask for a port that does not exist", strings.Replace(serviceYAML, "port: 80,", "port: 99999,", 1), "99999")
}

// breakWith commits a bad service.yaml beside a new image, and checks that neither
// has an effect and that the condition has a word for it.
func (s *story) breakWith(ctx context.Context, message, service, word string) (string, error) {
	rev, err := s.push(ctx, message, gitserver.File("apps/my-app/service.yaml", service),
		gitserver.File("apps/my-app/deployment.yaml", deploymentYAML("9.9.9", "2")))
	if err != nil {
		return "", err
	}
	ks := kustomizationObject()
	err = s.Until(ctx, ks, func() bool {
		return strings.HasSuffix(ks.Status.LastAttemptedRevision, rev) && conditions.IsFalse(ks, meta.ReadyCondition) &&
			strings.Contains(conditions.GetMessage(ks, meta.ReadyCondition), word)
	})
	if err != nil {
		return "", err
	}
	d := deployment()
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
		return "", err
	}
	if image(d) != "registry.example.com/my-app:1.1.0" || d.Status.AvailableReplicas != 2 {
		return "", fmt.Errorf("the app was touched: image %s, %d available", image(d), d.Status.AvailableReplicas)
	}
	return fmt.Sprintf("Ready is False, %s: %s", conditions.GetReason(ks, meta.ReadyCondition), conditions.GetMessage(ks, meta.ReadyCondition)), nil
}

// heal commits what works again.
func (s *story) heal(ctx context.Context) (string, error) {
	rev, err := s.push(ctx, "Fix the service", gitserver.File("apps/my-app/service.yaml", serviceYAML),
		gitserver.File("apps/my-app/deployment.yaml", deploymentYAML("1.2.0", "2")))
	if err != nil {
		return "", err
	}
	ks := kustomizationObject()
	err = s.Until(ctx, ks, func() bool {
		return strings.HasSuffix(ks.Status.LastAppliedRevision, rev) && conditions.IsTrue(ks, meta.ReadyCondition)
	})
	return conditions.GetMessage(ks, meta.ReadyCondition), err
}

// push commits to the repository and asks for a look at it, as a webhook would.
func (s *story) push(ctx context.Context, message string, changes ...gitserver.Change) (string, error) {
	rev, err := s.repo.Commit("main", message, changes...)
	if err != nil {
		return "", err
	}
	repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: appSpace}}
	return rev, s.ask(ctx, repo)
}

// ask asks for a run of an object, as a webhook would.
func (s *story) ask(ctx context.Context, obj client.Object) error { return ask(ctx, s.Client, obj) }

func ask(ctx context.Context, c client.Client, obj client.Object) error {
	token := strconv.FormatInt(time.Now().UnixNano(), 10)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, meta.ReconcileRequestAnnotation, token)
	return c.Patch(ctx, obj, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner("demo"))
}

// event returns the message of the event that has a word.
func (s *story) event(ctx context.Context, word string) (message string, err error) {
	err = stack.Eventually(ctx, func(ctx context.Context) (bool, error) {
		var list corev1.EventList
		if err := s.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		i := slices.IndexFunc(list.Items, func(e corev1.Event) bool { return strings.Contains(e.Message, word) })
		if i >= 0 {
			message = list.Items[i].Message
		}
		return i >= 0, nil
	})
	if err != nil {
		return "", fmt.Errorf("an event that tells about %q: %w", word, err)
	}
	return message, nil
}

// invite says how to look around.
func (s *story) invite() {
	fmt.Fprintf(s.out, `
Everything is running. Look around from another terminal:

  export KUBECONFIG=%s
  kubectl -n %s get gitrepositories,ocirepositories,kustomizations,helmreleases,imagerepositories,imagepolicies,imageupdateautomations
  kubectl -n %s get all
  kubectl -n %s scale deployment my-app --replicas=7     # it will not last
  kubectl -n %s get events
  git clone %s                                           # change it, push it, and see

Logs are in %s. Ctrl-C ends it all.
`, s.Kubeconfig, namespace, appSpace, appSpace, namespace, s.gitURL, s.Dir())
}

func deployment() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: appSpace, Name: "my-app"}}
}

func kustomizationObject() *kustomizev1.Kustomization {
	return &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: appSpace}}
}

func image(d *appsv1.Deployment) string {
	if len(d.Spec.Template.Spec.Containers) == 0 {
		return ""
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

// decode reads one of our own objects.
func decode(text string) (client.Object, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return nil, err
	}
	var obj client.Object = &kustomizev1.Kustomization{}
	switch kind.Kind {
	case imagev1.ImageRepositoryKind:
		obj = &imagev1.ImageRepository{}
	case imagev1.ImagePolicyKind:
		obj = &imagev1.ImagePolicy{}
	case imagev1.ImageUpdateAutomationKind:
		obj = &imagev1.ImageUpdateAutomation{}
	case helmv2.HelmReleaseKind:
		obj = &helmv2.HelmRelease{}
	case sourcev1.GitRepositoryKind:
		obj = &sourcev1.GitRepository{}
	case sourcev1.OCIRepositoryKind:
		obj = &sourcev1.OCIRepository{}
	}
	return obj, yaml.UnmarshalStrict([]byte(text), obj)
}
