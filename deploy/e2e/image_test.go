package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/oci/ocitest"
)

const (
	imageController = "image-controller"

	// imageKills is how often image-controller is killed while there is something to do,
	// and imageDelay how long it lives after an image was pushed, at most.
	imageKills = 6
	imageDelay = 400 * time.Millisecond

	robot = "image-robot"
	// appManifest has the marker that image updates are written at.
	appManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: NAMESPACE}   # kept as it is
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - name: app
        image: IMAGE:1.0.0 # {"$imagepolicy": "NAMESPACE:app"}
`
)

// TestImagePushGoesLive is what happens after a CI system has pushed an image: nobody
// does anything until it runs, and what people commit meanwhile stays.
func TestImagePushGoesLive(t *testing.T) {
	t.Parallel()
	s := newImageStory(t)
	image := s.startImage()
	s.isLive("1.0.0")
	s.handle()
	s.history("user: Add the app")

	s.release("1.0.1")
	s.isLive("1.0.1")
	s.history(robot+": Update 1", "user: Add the app")
	s.onlyTheImageDiffers("1.0.1")

	// An image that is out of range, one that is older, and a kill change nothing.
	s.release("2.0.0")
	s.release("1.0.0-rc.1")
	s.kill(image)
	s.startImage()
	s.handle()
	s.history(robot+": Update 1", "user: Add the app")

	// A person is first, and nobody has told the controllers.
	s.clone.git("reset", "--quiet", "--hard", "origin/main")
	s.clone.push("Explain the app", func(dir string) { write(t, filepath.Join(dir, "README.md"), "It is an app.\n") })
	s.release("1.0.2")
	s.isLive("1.0.2")
	s.history(robot+": Update 1", "user: Explain the app", robot+": Update 1", "user: Add the app")
	s.onlyTheImageDiffers("1.0.2")
	if got := s.clone.git("show", "origin/main:README.md"); got != "It is an app." {
		t.Errorf("README.md is now %q", got)
	}
	s.checkLogs(imageController, imagev1.ImageRepositoryKind, imagev1.ImagePolicyKind, imagev1.ImageUpdateAutomationKind)
}

// TestKillWhileUpdatingImages kills image-controller at any moment after an image was
// pushed. Each image comes by exactly one commit all the same.
func TestKillWhileUpdatingImages(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	s := newImageStory(t)
	s.tellers = append(s.tellers, func() { t.Logf("the random numbers are of seed %d", seed) })
	image := s.startImage()
	s.isLive("1.0.0")
	want := []string{"user: Add the app"}
	early := 0
	for i := range imageKills {
		was := s.head()
		s.release(fmt.Sprintf("1.1.%d", i))
		switch i % 3 {
		case 0:
			s.pass(time.Duration(random.Int64N(int64(imageDelay))), image.Ended())
		case 1: // closer to the commit
			s.Wait("the scan", s.images, func() bool { return s.images.Status.LastScanResult.TagCount == i+2 })
			s.pass(time.Duration(random.Int64N(int64(imageDelay))), image.Ended())
		case 2: // before anybody was told of it
			s.Eventually("a commit", func() bool { return s.head() != was })
		}
		s.kill(image)
		if s.head() == was {
			early++
		}
		image = s.startImage()
		s.isLive(fmt.Sprintf("1.1.%d", i))
		want = append([]string{robot + ": Update 1"}, want...)
	}
	t.Logf("%d of %d kills came before the commit", early, imageKills)
	s.handle()
	s.history(want...)
	s.onlyTheImageDiffers(fmt.Sprintf("1.1.%d", imageKills-1))
}

// imageStory is a registry and a repository, and the objects that lead from one by way
// of the other to a Deployment. All of them look again in an hour only: what happens
// before, an event has made happen.
type imageStory struct {
	*world
	registry   *ocitest.Registry
	repo       *gitserver.Repo
	clone      *clone
	images     *imagev1.ImageRepository
	automation *imagev1.ImageUpdateAutomation
	deployment *appsv1.Deployment
}

func newImageStory(t *testing.T) *imageStory {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatalf("%v: the user of this story pushes with it", err)
	}
	w := newWorld(t)
	if _, err := os.Stat(filepath.Join(w.stack.Controllers, imageController)); err != nil {
		t.Fatalf("%v: build it with `make build`", err)
	}
	if err := w.stack.StartGit(t.Context()); err != nil {
		t.Fatal(err)
	}
	repo, url, err := w.stack.Repository("fleet")
	if err != nil {
		t.Fatal(err)
	}
	s := &imageStory{world: w, repo: repo, registry: ocitest.Start(t, ocitest.Options{}), clone: newClone(t, url)}
	s.registry.Push("app", "1.0.0", ocitest.Files(map[string]string{"version": "1.0.0"}))
	s.clone.push("Add the app", func(dir string) { write(t, filepath.Join(dir, "app", "deployment.yaml"), s.manifest("1.0.0")) })
	s.startSource()
	s.startKustomize()
	s.objects(url)
	return s
}

// objects makes what leads from the image to the Deployment.
func (s *imageStory) objects(url string) {
	s.t.Helper()
	hour := metav1.Duration{Duration: time.Hour}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	s.images = &imagev1.ImageRepository{
		ObjectMeta: named("app"), Spec: imagev1.ImageRepositorySpec{Image: s.image(), Interval: hour, Insecure: true},
	}
	s.automation = &imagev1.ImageUpdateAutomation{
		ObjectMeta: named("updates"),
		Spec: imagev1.ImageUpdateAutomationSpec{
			Interval:  hour,
			SourceRef: imagev1.CrossNamespaceSourceReference{Kind: sourcev1.GitRepositoryKind, Name: "fleet"},
			GitSpec: &imagev1.GitSpec{Commit: imagev1.CommitSpec{
				Author:          imagev1.CommitUser{Name: robot, Email: robot + "@example.com"},
				MessageTemplate: "Update {{ len .Changed.Changes }}",
			}},
			Update: &imagev1.UpdateStrategy{Strategy: "Setters", Path: "./app"},
		},
	}
	for _, obj := range []client.Object{
		&sourcev1.GitRepository{ObjectMeta: named("fleet"), Spec: sourcev1.GitRepositorySpec{
			URL: url, Interval: hour, Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
		}},
		&kustomizev1.Kustomization{ObjectMeta: named("app"), Spec: kustomizev1.KustomizationSpec{
			Interval: hour, Path: "./app", Prune: true,
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: "fleet"},
		}},
		s.images,
		&imagev1.ImagePolicy{ObjectMeta: named("app"), Spec: imagev1.ImagePolicySpec{
			ImageRepositoryRef: meta.NamespacedObjectReference{Name: "app"},
			Policy:             imagev1.ImagePolicyChoice{SemVer: &imagev1.SemVerPolicy{Range: "1.x"}},
		}},
		s.automation,
	} {
		s.Create(obj)
	}
	s.deployment = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "app"}}
}

// startImage starts an image-controller.
func (s *imageStory) startImage() *stack.Program {
	s.t.Helper()
	p, err := s.stack.ImageController(s.t.Context(), s.private()...)
	if err != nil {
		s.t.Fatalf("starting image-controller: %v", err)
	}
	return p
}

func (s *imageStory) image() string { return s.registry.Host() + "/app" }

// head is the newest commit.
func (s *imageStory) head() string {
	s.t.Helper()
	hash, err := s.repo.Head("main")
	if err != nil {
		s.t.Fatal(err)
	}
	return hash
}

// manifest is the file as it should be with a version.
func (s *imageStory) manifest(version string) string {
	return strings.NewReplacer("NAMESPACE", s.Namespace, "IMAGE:1.0.0", s.image()+":"+version).Replace(appManifest)
}

// release pushes an image, and asks for a scan, as the webhook of a registry does.
func (s *imageStory) release(version string) {
	s.t.Helper()
	s.registry.Push("app", version, ocitest.Files(map[string]string{"version": version}))
	s.Poke(s.images)
}

// isLive waits until the Deployment has a version.
func (s *imageStory) isLive(version string) {
	s.t.Helper()
	s.Wait("version "+version, s.deployment, func() bool {
		containers := s.deployment.Spec.Template.Spec.Containers
		return len(containers) == 1 && containers[0].Image == s.image()+":"+version
	})
}

// handle waits until all that was pushed has been looked at.
func (s *imageStory) handle() {
	s.t.Helper()
	for _, obj := range []interface {
		client.Object
		GetConditions() []metav1.Condition
	}{s.images, s.automation} {
		s.Poke(obj)
		s.WaitHandled(obj)
	}
}

// history compares who has committed what, the newest first.
func (s *imageStory) history(want ...string) {
	s.t.Helper()
	s.clone.git("fetch", "--quiet", "origin")
	got := slices.Collect(strings.SplitSeq(s.clone.git("log", "--format=%an: %s", "origin/main"), "\n"))
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("the history (-want +got):\n%s", diff)
	}
}

// onlyTheImageDiffers compares the file in the repository, byte by byte.
func (s *imageStory) onlyTheImageDiffers(version string) {
	s.t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(s.manifest(version)), s.clone.git("show", "origin/main:app/deployment.yaml")); diff != "" {
		s.t.Errorf("the file (-want +got):\n%s", diff)
	}
}
