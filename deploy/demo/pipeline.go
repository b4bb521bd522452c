package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
)

// Objects that write new versions of an image to Git. Without the registry telling that
// something was pushed, a scan comes within the interval.
const imageObjects = `apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: my-image, namespace: flux-system}
spec: {interval: 1m, image: HOST/my-image, insecure: true}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: my-image, namespace: flux-system}
spec:
  imageRepositoryRef: {name: my-image}
  policy: {semver: {range: ">=1.0.0"}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: my-app, namespace: flux-system}
spec:
  interval: 10m
  sourceRef: {kind: GitRepository, name: my-app}
  git:
    commit:
      author: {name: weir, email: weir@example.com}
      messageTemplate: |-
        Update images
        {{ range .Changed.Changes }}
        {{ .OldValue }} -> {{ .NewValue }}
        {{- end }}
  update: {path: ./apps/my-app, strategy: Setters}
`

const (
	imageName  = "my-image"
	firstImage = "1.0.0"
	nextImage  = "1.0.1"
)

// imageAt is the image in the demo's own registry.
func (w *world) imageAt(tag string) string { return w.registry + "/" + imageName + ":" + tag }

// markedYAML is the Deployment with a marker, by which its image follows a policy.
func markedYAML(image string) string {
	const marker = `# {"$imagepolicy": "flux-system:my-image"}`
	return strings.NewReplacer("IMAGE", image, "MARKER", marker).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: my-app, namespace: my-app}
spec:
  replicas: 2
  selector: {matchLabels: {app: my-app}}
  template:
    metadata: {labels: {app: my-app}}
    spec:
      containers:
      - name: my-app
        image: IMAGE MARKER
        ports: [{containerPort: 8080}]
`)
}

// pushImage pushes an image that is empty but for a label.
func (w *world) pushImage(ctx context.Context, version string) error {
	image, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"version": version}})
	if err != nil {
		return err
	}
	ref, err := name.ParseReference(w.imageAt(version), name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(ref, image, remote.WithContext(ctx))
}

// automate marks the image in Git, and applies what keeps it current.
func (s *story) automate(ctx context.Context) (string, error) {
	if err := s.pushImage(ctx, firstImage); err != nil {
		return "", err
	}
	for text := range strings.SplitSeq(strings.ReplaceAll(imageObjects, "HOST", s.registry), "---\n") {
		obj, err := decode(text)
		if err != nil {
			return "", err
		}
		if err := s.Client.Create(ctx, obj); err != nil {
			return "", err
		}
	}
	if _, err := s.push(ctx, "Let the image follow its policy", gitserver.File("apps/my-app/deployment.yaml", markedYAML(s.imageAt("0.9.0")))); err != nil {
		return "", err
	}
	d := deployment()
	err := s.Until(ctx, d, func() bool { return image(d) == s.imageAt(firstImage) && current(d) })
	return image(d), err
}

// pipeline pushes a new version, tells the ImageRepository of it as a registry would, and
// follows it until its Pods are healthy.
func (s *story) pipeline(ctx context.Context) (string, error) {
	began := time.Now()
	if err := s.pushImage(ctx, nextImage); err != nil {
		return "", err
	}
	if err := s.ask(ctx, imageRepository()); err != nil {
		return "", err
	}
	var told strings.Builder
	for _, stage := range []struct {
		what  string
		reach func(context.Context) (string, error)
	}{
		{"scan", s.scanned},
		{"policy", s.chosen},
		{"commit", s.committed},
		{"artifact", s.fetched},
		{"applied", s.applied},
		{"healthy", s.healthy},
	} {
		detail, err := stage.reach(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", stage.what, err)
		}
		fmt.Fprintf(&told, "after %-6s %s: %s\n", short(time.Since(began)), stage.what, detail)
	}
	return told.String(), nil
}

func (s *story) scanned(ctx context.Context) (string, error) {
	repo := imageRepository()
	err := s.Until(ctx, repo, func() bool { return repo.Status.LastScanResult != nil && repo.Status.LastScanResult.TagCount == 2 })
	if err != nil {
		return "", err
	}
	return strings.Join(repo.Status.LastScanResult.LatestTags, ", "), nil
}

func (s *story) chosen(ctx context.Context) (string, error) {
	policy := &imagev1.ImagePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: imageName}}
	err := s.Until(ctx, policy, func() bool { return policy.Status.LatestRef != nil && policy.Status.LatestRef.Tag == nextImage })
	return nextImage, err
}

// committed waits for the commit, and returns it with what it changes.
func (s *story) committed(ctx context.Context) (string, error) {
	repo, err := gogit.PlainOpen(s.repo.Path())
	if err != nil {
		return "", err
	}
	var detail string
	err = stack.Eventually(ctx, func(context.Context) (bool, error) {
		head, err := repo.Reference(plumbing.NewBranchReferenceName("main"), true)
		if err != nil {
			return false, err
		}
		commit, err := repo.CommitObject(head.Hash())
		if err != nil || !strings.HasPrefix(commit.Message, "Update images") {
			return false, err
		}
		parent, err := commit.Parent(0)
		if err != nil {
			return false, err
		}
		patch, err := parent.PatchContext(ctx, commit)
		if err != nil || !strings.Contains(patch.String(), nextImage) {
			return false, err
		}
		s.head = head.Hash().String()
		detail = fmt.Sprintf("%.7s by %s\n%s", s.head, commit.Author.Name, changedLines(patch.String()))
		return true, nil
	})
	return detail, err
}

// changedLines returns those lines of a diff that say what changed, indented.
func changedLines(diff string) string {
	var lines []string
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
			lines = append(lines, "    "+strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(lines, "\n")
}

func (s *story) fetched(ctx context.Context) (string, error) {
	repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: appSpace}}
	err := s.Until(ctx, repo, func() bool {
		return repo.Status.Artifact != nil && strings.HasSuffix(repo.Status.Artifact.Revision, s.head)
	})
	if err != nil {
		return "", err
	}
	return repo.Status.Artifact.Revision, nil
}

func (s *story) applied(ctx context.Context) (string, error) {
	d := deployment()
	err := s.Until(ctx, d, func() bool { return image(d) == s.imageAt(nextImage) })
	return image(d), err
}

func (s *story) healthy(ctx context.Context) (string, error) {
	d := deployment()
	err := s.Until(ctx, d, func() bool { return current(d) })
	return fmt.Sprintf("%d of %d Pods", d.Status.AvailableReplicas, *d.Spec.Replicas), err
}

// current reports whether all Pods are of the newest template, and available.
func current(d *appsv1.Deployment) bool {
	n := *d.Spec.Replicas
	return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == n && d.Status.AvailableReplicas == n && d.Status.Replicas == n
}

func imageRepository() *imagev1.ImageRepository {
	return &imagev1.ImageRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: imageName}}
}
