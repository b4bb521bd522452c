package bootstrap_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/pullrequest"
)

// TestBootstrap: an empty cluster runs from a repository that did not exist.
func TestBootstrap(t *testing.T) {
	t.Parallel()
	for _, kind := range []pullrequest.Kind{pullrequest.GitHub, pullrequest.GitLab, pullrequest.Gitea} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind)
			result := w.must(nil)
			head := w.repo().Head("main")
			if want := "main@sha1:" + head; result.Revision != want {
				t.Errorf("revision %q, want %q", result.Revision, want)
			}
			w.whole()
			before := w.versions()
			changes := w.host.Counts().Changes
			if again := w.must(nil); again != result || w.repo().Head("main") != head {
				t.Errorf("the second time: %+v at %s", again, w.repo().Head("main"))
			}
			if diff := cmp.Diff(before, w.versions()); diff != "" {
				t.Errorf("the second time changes objects (-before +after):\n%s", diff)
			}
			if got := w.host.Counts().Changes; got != changes {
				t.Errorf("the second time changes %d things at the host", got-changes)
			}
			if text := w.said.String(); strings.Contains(text, token) || strings.Contains(text, "PRIVATE KEY") {
				t.Errorf("a secret is told:\n%s", text)
			}
		})
	}
}

// whole checks what there is in the end, however one gets there.
func (w *world) whole() {
	w.t.Helper()
	repo, _ := w.host.Repository(fleet)
	if len(repo.Keys) != 1 || strings.TrimSpace(string(w.secret()["identity.pub"])) != repo.Keys[0].Key {
		w.t.Errorf("%d deploy keys, of which the cluster should have the only one", len(repo.Keys))
	}
	if got := string(w.secret()["known_hosts"]); got != string(w.ssh.SSH().KnownHosts) {
		w.t.Errorf("known_hosts are %q", got)
	}
	if got := w.file("main", "kustomization.yaml"); !strings.Contains(got, "gotk-sync.yaml") {
		w.t.Errorf("the kustomization file is %q", got)
	}
	source, ks, d := w.objects()
	if !w.Get(source) || !w.Get(ks) || !w.Get(d) {
		w.t.Fatal("the cluster does not have all objects")
	}
	if ks.Labels[kustomizev1.LabelName] != w.Namespace || d.Labels[kustomizev1.LabelNamespace] != w.Namespace {
		w.t.Errorf("labels %v and %v do not name the owner", ks.Labels, d.Labels)
	}
	if m := d.ManagedFields[0].Manager; m != "kustomize-controller" {
		w.t.Errorf("the Deployment is managed by %q", m)
	}
}

func (w *world) objects() (*sourcev1.GitRepository, *kustomizev1.Kustomization, *appsv1.Deployment) {
	source, ks, d := &sourcev1.GitRepository{}, &kustomizev1.Kustomization{}, &appsv1.Deployment{}
	source.Name, source.Namespace = w.Namespace, w.Namespace
	ks.Name, ks.Namespace = w.Namespace, w.Namespace
	d.Name, d.Namespace = "source-controller", w.Namespace
	return source, ks, d
}

// versions are those of the objects.
func (w *world) versions() []string {
	w.t.Helper()
	source, ks, d := w.objects()
	if !w.Get(source) || !w.Get(ks) || !w.Get(d) {
		w.t.Fatal("the cluster does not have all objects")
	}
	return []string{source.ResourceVersion, ks.ResourceVersion, d.ResourceVersion}
}

// TestCutOff: wherever a run ends, the next one makes the same of it.
func TestCutOff(t *testing.T) {
	t.Parallel()
	counted := newWorld(t, pullrequest.Gitea)
	counted.must(nil)
	total := counted.cut.changes()
	if total < 8 {
		t.Fatalf("a run makes %d changes: are they counted?", total)
	}
	for n := range total {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d %t", n, after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, pullrequest.Gitea)
				w.cut.arm(n, after)
				_, err := w.run(nil)
				if ended := w.cut.calm(); !ended {
					t.Skip("it ended by itself before that")
				}
				if err == nil && !after {
					t.Error("a run that is cut off succeeds")
				}
				w.must(nil)
				w.whole()
				if log := commits(w); log != 1 {
					t.Errorf("there are %d commits, want 1", log)
				}
			})
		}
	}
}

// commits counts those of the branch.
func commits(w *world) int {
	out, err := w.ssh.TryGit(w.repo().Path(), "rev-list", "--count", "main")
	if err != nil {
		w.t.Fatalf("git, which tests need: %v", err)
	}
	n := 0
	_, _ = fmt.Sscan(out, &n) // 0 is not what is wanted
	return n
}

// TestPatches: what a user has written applies from the first run on, and stays.
func TestPatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	list := "resources: [gotk-components.yaml, gotk-sync.yaml]\npatches:\n- target: {kind: Deployment, name: source-controller}\n  patch: |\n    - op: replace\n      path: /spec/replicas\n      value: 2\n"
	w.repository().Commit("main", "patch", gitserver.File("clusters/prod/"+w.Namespace+"/kustomization.yaml", list))
	w.must(nil)
	_, _, d := w.objects()
	if !w.Get(d) || *d.Spec.Replicas != 2 {
		t.Errorf("the patch does not apply: %v", d.Spec.Replicas)
	}
	if got := w.file("main", "kustomization.yaml"); got != list {
		t.Errorf("the file is %q now", got)
	}
}

// TestUpgrade: controllers that are there have fetched what is applied, and do not undo it.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.must(nil)
	w.lazy.Store(true)
	var applied atomic.Int32
	w.must(func(b *bootstrap.Bootstrap) {
		b.Options.Install.Registry = "other.example.com/weir"
		b.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return tripper(func(r *http.Request) (*http.Response, error) {
				source, _, d := w.objects()
				if isChange(r) && strings.HasSuffix(r.URL.Path, "/deployments/"+d.Name) {
					applied.Add(1)
					if head := "main@sha1:" + w.repo().Head("main"); !w.Get(source) || source.Status.Artifact.Revision != head {
						t.Errorf("%s is applied while its controllers are at %q, and not at %q", d.Name, source.Status.Artifact.Revision, head)
					}
				}
				return next.RoundTrip(r)
			})
		})
	})
	if applied.Load() == 0 {
		t.Error("nothing was applied")
	}
}

// TestListWithoutSync: a cluster would lose what follows its repository.
func TestListWithoutSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	head := w.repository().Commit("main", "list", gitserver.File("clusters/prod/"+w.Namespace+"/kustomization.yaml", "resources: [gotk-components.yaml]\n"))
	_, err := w.run(nil)
	var refused *bootstrap.Refusal
	if !errors.As(err, &refused) || refused.Reason != bootstrap.NotListed || w.repo().Head("main") != head {
		t.Errorf("error %v, want NotListed and no commit", err)
	}
}

func TestMovingBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	first := w.repository().Commit("main", "one", gitserver.File("a", "1"))
	moved := false
	w.must(func(b *bootstrap.Bootstrap) {
		b.Render = renderAfter(func() {
			if !moved {
				moved = true
				w.repo().Commit("main", "two", gitserver.File("a", "2"))
			}
		})
	})
	if w.repo().Head("main") == first || !strings.Contains(w.said.String(), "the branch has moved meanwhile") {
		t.Errorf("nothing was decided anew:\n%s", w.said)
	}
	w.whole()
}

func TestProtectedBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	head := w.repository().Commit("main", "one", gitserver.File("a", "1"))
	w.repo().Protect("main", "protected branch: review first")
	_, err := w.run(nil)
	var refused *bootstrap.Refusal
	if !errors.As(err, &refused) || refused.Reason != bootstrap.PushRefused || !strings.Contains(refused.Why, "review first") || !strings.Contains(refused.Next, "--pull-request") {
		t.Fatalf("error %v, want what the branch says and what to do", err)
	}
	if w.repo().Head("main") != head {
		t.Error("the branch has moved")
	}
	source, _, _ := w.objects()
	if w.Get(source) {
		t.Error("the cluster follows a repository without the files")
	}
	pull := func(b *bootstrap.Bootstrap) { b.Options.PullRequest, b.Host = "setup", nil; over(b) }
	result := w.must(pull)
	if result.Revision != "" || !strings.Contains(result.PullRequest, `"setup"`) {
		t.Errorf("result %+v, want the branch to merge", result)
	}
	proposed := w.repo().Head("setup")
	if w.must(pull); w.repo().Head("setup") != proposed {
		t.Error("the branch is pushed again, with the same files")
	}
	w.repo().Reset("main", proposed) // as a person merges
	if result := w.must(pull); result.Revision != "main@sha1:"+proposed {
		t.Errorf("after the merge: %+v", result)
	}
}

// TestDryRun: nothing is changed, not even the host.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	var files bytes.Buffer
	w.must(func(b *bootstrap.Bootstrap) { b.DryRun, b.Export = true, &files })
	if n := w.cut.changes(); n != 0 {
		t.Errorf("%d changes", n)
	}
	if _, there := w.host.Repository(fleet); there {
		t.Error("there is a repository")
	}
	for _, want := range []string{"kind: GitRepository", "kind: Deployment", "# clusters/prod/" + w.Namespace + "/gotk-sync.yaml"} {
		if !strings.Contains(files.String(), want) {
			t.Errorf("the files do not have %q:\n%s", want, &files)
		}
	}
	for _, want := range []string{"the repository " + w.host.Pages().Host + "/team/fleet would be created", "gotk-components.yaml would be written"} {
		if !strings.Contains(w.said.String(), want) {
			t.Errorf("it is not told that %s:\n%s", want, w.said)
		}
	}
}

// TestLogins: the cluster gets in as it is asked to, and changes when it is.
func TestLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.GitLab)
	w.must(nil)
	identity := string(w.secret()["identity"])
	w.must(nil)
	if string(w.secret()["identity"]) != identity {
		t.Error("the key is another, and nobody has asked for one")
	}
	w.must(func(b *bootstrap.Bootstrap) { b.Login.Key.Algorithm = bootstrap.Ed25519 })
	ed := string(w.secret()["identity"])
	if ed == identity || !strings.HasPrefix(string(w.secret()["identity.pub"]), "ssh-ed25519 ") {
		t.Error("the key is none of the algorithm")
	}
	if w.must(func(b *bootstrap.Bootstrap) { b.Login.Key.Algorithm = bootstrap.Ed25519 }); string(w.secret()["identity"]) != ed {
		t.Error("the key is another, although it is of the algorithm")
	}
	w.whole()
	w.must(over)
	if diff := cmp.Diff(map[string][]byte{"username": []byte("git"), "password": []byte(token)}, w.secret()); diff != "" {
		t.Errorf("with a token, the Secret has (-want +got):\n%s", diff)
	}
	deployToken := func(b *bootstrap.Bootstrap) {
		b.Options.URL, b.Login, b.Host.DeployToken = b.GitURL, bootstrap.Login{}, true
	}
	w.must(deployToken)
	repo, _ := w.host.Repository(fleet)
	if len(repo.Tokens) != 1 || string(w.secret()["password"]) != repo.Tokens[0].Token {
		t.Errorf("%d deploy tokens, of which the cluster should have the only one", len(repo.Tokens))
	}
	had := repo.Tokens[0]
	w.must(deployToken)
	if repo, _ = w.host.Repository(fleet); len(repo.Tokens) != 1 || repo.Tokens[0] != had {
		t.Error("the token was replaced, although the cluster has it")
	}
}

// TestOwnKey: on a server that nobody can ask, people give the key access.
func TestOwnKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.repository().Commit("main", "one", gitserver.File("a", "1"))
	alone := func(b *bootstrap.Bootstrap) { b.Host = nil }
	_, err := w.run(alone)
	var refused *bootstrap.Refusal
	if !errors.As(err, &refused) || refused.Reason != bootstrap.KeyUnknown || !strings.Contains(refused.Why, strings.TrimSpace(string(w.secret()["identity.pub"]))) {
		t.Fatalf("error %v, want the public key", err)
	}
	identity := string(w.secret()["identity"])
	if _, err = w.run(alone); !errors.As(err, &refused) || refused.Reason != bootstrap.KeyUnknown || string(w.secret()["identity"]) != identity {
		t.Errorf("the second time: %v; want the same key asked for", err)
	}
	w.must(func(b *bootstrap.Bootstrap) {
		alone(b)
		b.Login.Identity = w.ssh.SSH().ClientKey.PEM() // which the server knows
	})
	if string(w.secret()["identity"]) != string(w.ssh.SSH().ClientKey.PEM()) {
		t.Error("the cluster does not have the key that was given")
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.repository().Commit("main", "one", gitserver.File("a", "1"))
	_, err := w.run(func(b *bootstrap.Bootstrap) {
		b.Host, b.Git.Password = nil, creds.Hide("wr0ng")
	})
	var refused *bootstrap.Refusal
	if !errors.As(err, &refused) || refused.Reason != bootstrap.NoAccess || strings.Contains(err.Error(), "wr0ng") || refused.Next == "" {
		t.Errorf("error %v, want NoAccess, and what to do", err)
	}
}

// TestUnreachable: an error of the host is not taken for one of the cluster.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	_, err := w.run(func(b *bootstrap.Bootstrap) {
		b.Host, b.GitURL = nil, "http://127.0.0.1:1/team/fleet"
	})
	var refused *bootstrap.Refusal
	if !errors.As(err, &refused) || refused.Reason != bootstrap.NoAccess || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, want NoAccess, and nothing of the network", err)
	}
}
