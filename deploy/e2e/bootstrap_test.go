package e2e_test

import (
	"slices"
	"strings"
	"testing"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/install"
)

// argument is what users add to kustomize-controller in Git, beside a label.
const argument = "--concurrent=7"

const (
	listed  = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- gotk-components.yaml\n- gotk-sync.yaml\n"
	patched = listed + `patches:
- target: {kind: Deployment, name: kustomize-controller}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: ` + argument + `}
    - {op: add, path: /metadata/labels/team, value: blue}
`
)

// TestBootstrap is the life of an installation that is in Git: it begins with an empty
// cluster and an empty repository, and with somebody who is interrupted again and again.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	head := f.interruptions()
	f.firstRunChangesNothing(head)
	head = f.editInGit()
	f.bootstrapAgain(head)
	f.upgrade()
	f.takeBack()
}

// interruptions kills the command wherever it gets to. No controller runs yet, so that the
// cluster is as the command left it.
func (f *fleet) interruptions() (head string) {
	f.t.Helper()
	for _, word := range []string{"pushed ", "source secret ", "applying ", "waiting for GitRepository"} {
		c := f.bootstrap("--registry=" + images)
		c.says(word)
		c.kill()
		if now := f.head(); head != "" && now != head {
			f.t.Fatalf("after the interruption at %q there is another commit", word)
		}
		head = f.head()
	}
	if c := f.commitOf(head); c.NumParents() != 0 || !strings.HasPrefix(c.Message, "Add Flux "+install.Version+" component and sync manifests") {
		f.t.Errorf("the commit is %q, with %d before it", c.Message, c.NumParents())
	}
	return head
}

func (f *fleet) commitOf(hash string) *gitobject.Commit {
	f.t.Helper()
	repo, err := gogit.PlainOpen(f.repo.Path())
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := repo.CommitObject(plumbing.NewHash(hash))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// firstRunChangesNothing has a last call wait for controllers that are started only when it
// has applied everything, and compares.
func (f *fleet) firstRunChangesNothing(head string) {
	f.t.Helper()
	c := f.bootstrap() // the registry is known by now
	c.says("waiting for GitRepository")
	if text, _ := c.said.now(); !strings.Contains(text, ", 0 of them changed") {
		f.t.Errorf("what an interrupted call has applied is applied again:\n%s", text)
	}
	before := f.applied()
	f.runPrograms()
	if text := c.succeeds(); !strings.Contains(text, "the cluster runs from main@sha1:"+head) {
		f.t.Errorf("weir does not say what the cluster runs from:\n%s", text)
	}
	ks := f.runsFrom(head)
	if diff := cmp.Diff(before, f.applied()); diff != "" {
		f.t.Errorf("the first run of kustomize-controller changes what bootstrap has applied (-before +after):\n%s", diff)
	}
	if ks.Status.Inventory == nil || len(ks.Status.Inventory.Entries) != len(before) {
		f.t.Errorf("the inventory has not all of the %d objects that were looked at, or more", len(before))
	}
}

// touched is what tells whether an object was changed by who applies it.
type touched struct {
	Generation int64
	Applied    []any  // the managed fields of who applies
	Version    string // of an object that nobody else writes
}

// applied returns the objects of the installation.
func (f *fleet) applied() map[string]touched {
	f.t.Helper()
	all := make(map[string]touched)
	for _, kind := range []struct {
		group, version, kind string
		shared               bool // others write its status, or more
	}{
		{"", "v1", "Namespace", true},
		{"", "v1", "ResourceQuota", true},
		{"", "v1", "ServiceAccount", false},
		{"", "v1", "Service", false},
		{"apps", "v1", "Deployment", true},
		{"policy", "v1", "PodDisruptionBudget", true},
		{"networking.k8s.io", "v1", "NetworkPolicy", false},
		{"rbac.authorization.k8s.io", "v1", "Role", false},
		{"rbac.authorization.k8s.io", "v1", "RoleBinding", false},
		{"rbac.authorization.k8s.io", "v1", "ClusterRole", false},
		{"rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", false},
		{"apiextensions.k8s.io", "v1", "CustomResourceDefinition", false},
		{"source.toolkit.fluxcd.io", "v1", "GitRepository", true},
		{"kustomize.toolkit.fluxcd.io", "v1", "Kustomization", true},
	} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: kind.group, Version: kind.version, Kind: kind.kind + "List"})
		owner := client.MatchingLabels{kustomizev1.LabelName: install.Namespace, kustomizev1.LabelNamespace: install.Namespace}
		if err := f.stack.Client.List(f.t.Context(), list, owner); err != nil {
			f.t.Fatal(err)
		}
		for _, obj := range list.Items {
			it := touched{Generation: obj.GetGeneration()}
			fields, _, _ := unstructured.NestedSlice(obj.Object, "metadata", "managedFields")
			it.Applied = slices.DeleteFunc(fields, func(entry any) bool {
				e := entry.(map[string]any)
				return e["manager"] != kustomizeController || e["operation"] != "Apply" || e["subresource"] != nil
			})
			if len(it.Applied) != 1 {
				f.t.Errorf("%s %s is not applied as kustomize-controller", kind.kind, obj.GetName())
			}
			if !kind.shared {
				it.Version = obj.GetResourceVersion()
			}
			all[kind.kind+" "+obj.GetName()] = it
		}
	}
	return all
}

// editInGit has kustomize-controller change its own Deployment, and so its own process.
func (f *fleet) editInGit() (head string) {
	f.t.Helper()
	before, other := f.program(kustomizeController, 0), f.program(sourceController, 0)
	if f.hasArgument(before, argument) {
		f.t.Fatalf("%s runs with %s already", kustomizeController, argument)
	}
	head = f.commit("Do more at once", "kustomization.yaml", patched)
	f.deployment(kustomizeController, "it has the argument", hasMore)
	if now := f.program(kustomizeController, before); !f.hasArgument(now, argument) {
		f.t.Errorf("process %d runs without %s", now, argument)
	}
	f.runsFrom(head)
	if now := f.program(sourceController, 0); now != other {
		f.t.Errorf("source-controller was started anew, although nothing of it has changed")
	}
	return head
}

func hasMore(d *appsv1.Deployment) bool {
	return slices.Contains(d.Spec.Template.Spec.Containers[0].Args, argument) && d.Labels["team"] == "blue"
}

// bootstrapAgain: there is nothing to do.
func (f *fleet) bootstrapAgain(head string) {
	f.t.Helper()
	before, process := f.applied(), f.program(kustomizeController, 0)
	text := f.bootstrap().succeeds()
	for _, want := range []string{"manifests are up to date", ", 0 of them changed"} {
		if !strings.Contains(text, want) {
			f.t.Errorf("weir does not say %q:\n%s", want, text)
		}
	}
	if now := f.head(); now != head {
		f.t.Errorf("there is a commit %s, although there was nothing to do", now)
	}
	if diff := cmp.Diff(before, f.applied()); diff != "" {
		f.t.Errorf("with nothing to do, objects change (-before +after):\n%s", diff)
	}
	if now := f.program(kustomizeController, 0); now != process {
		f.t.Errorf("with nothing to do, the controller was started anew")
	}
}

// upgrade has an older version run, as if it had been installed, and then the command.
func (f *fleet) upgrade() {
	f.t.Helper()
	o := install.Default()
	o.Registry, o.Version = images, "v0.0.9"
	older, err := install.Render(o)
	if err != nil {
		f.t.Fatal(err)
	}
	old := f.commit("Go back", "gotk-components.yaml", string(older))
	version := func(v string) func(*appsv1.Deployment) bool {
		return func(d *appsv1.Deployment) bool {
			return strings.HasSuffix(d.Spec.Template.Spec.Containers[0].Image, ":"+v) && d.Labels["app.kubernetes.io/version"] == v
		}
	}
	generation := f.deployment(helmController, "it is of the older version", version(o.Version)).Generation
	f.runsFrom(old)
	process := f.program(helmController, 0)

	f.bootstrap().succeeds()
	head := f.head()
	c := f.commitOf(head)
	if parent, err := c.Parent(0); err != nil || parent.Hash.String() != old || strings.TrimSpace(c.Message) != "Add Flux "+install.Version+" component manifests" {
		f.t.Errorf("the upgrade is the commit %q on %v, %v; want one of its own", c.Message, parent, err)
	}
	f.runsFrom(head)
	for _, name := range []string{sourceController, kustomizeController, helmController} {
		f.deployment(name, "it is of this version", version(install.Version))
	}
	f.program(helmController, process)
	if d := f.deployment(helmController, "it is there", version(install.Version)); d.Generation != generation+1 {
		f.t.Errorf("the upgrade has changed %s %d times, want once", d.Name, d.Generation-generation)
	}
	f.deployment(kustomizeController, "the patch of the user applies", hasMore)
}

// takeBack removes the patch in Git, and with it what it set, which a call of the command
// has applied as well meanwhile.
func (f *fleet) takeBack() {
	f.t.Helper()
	f.runsFrom(f.commit("Take that back", "kustomization.yaml", listed))
	d := f.deployment(kustomizeController, "it exists", func(*appsv1.Deployment) bool { return true })
	if _, there := d.Labels["team"]; there || slices.Contains(d.Spec.Template.Spec.Containers[0].Args, argument) {
		f.t.Errorf("what has left Git is still in the cluster: labels %v, arguments %v", d.Labels, d.Spec.Template.Spec.Containers[0].Args)
	}
}
