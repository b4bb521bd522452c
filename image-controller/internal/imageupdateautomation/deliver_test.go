package imageupdateautomation_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git/signature"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/pullrequest"
	"weir.dev/pkg/pullrequest/hosttest"
)

// TestRefspec: the commit goes to another ref as well, with the same options, and the event
// tells both.
func TestRefspec(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.AcceptOptions()
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	app := w.policy("app", "1.0.1")
	w.source()
	auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
		a.Spec.GitSpec.Push = &imagev1.PushSpec{
			Refspec: "refs/heads/main:refs/heads/staging", Options: map[string]string{"ci.skip": "", "topic": "images"},
		}
	})
	for _, tag := range []string{"1.0.1", "1.0.2"} {
		w.selects(app, tag)
		w.waitContent("staging", "app.yaml", w.marked("app", tag))
		w.waitPushed(auto, "main")
		if main, staging := w.repo.Head("main"), w.repo.Head("staging"); main != staging {
			t.Errorf("main is at %s, and staging at %s", main, staging)
		}
		if diff := cmp.Diff([]string{"ci.skip", "topic=images"}, w.repo.PushOptions()); diff != "" {
			t.Errorf("push options (-want +got):\n%s", diff)
		}
		w.waitEvent(auto, corev1.EventTypeNormal, imagev1.ReasonSucceeded,
			"pushed commit '"+w.repo.Head("main")[:7]+"' to branch 'main' and refspecs 'refs/heads/main:refs/heads/staging'\n")
	}
}

// TestRefspecThatFails is tried again without another commit, also by another process.
func TestRefspecThatFails(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"in the same process": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
			w.repo.Protect("staging", "staging is frozen")
			w.policy("app", "1.0.1")
			w.source()
			auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Push = &imagev1.PushSpec{Refspec: "HEAD:refs/heads/staging"}
			})
			w.waitFails(auto, imagev1.ReasonGitOperationFailed, "refspec 'HEAD:refs/heads/staging'", "staging is frozen")
			head := w.repo.Head("main")
			if auto.Status.LastPushCommit != head {
				t.Errorf("lastPushCommit is %q; the branch has %s", auto.Status.LastPushCommit, head)
			}
			w.waitEvent(auto, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "pushed commit '"+head[:7]+"' to branch 'main'\n")
			if restart {
				w.stop()
			}
			w.unprotect("staging")
			if restart {
				w.start()
			}
			w.WaitReady(auto)
			if got := w.repo.Head("staging"); got != head || w.repo.Head("main") != head {
				t.Errorf("staging is at %s and main at %s; want %s", got, w.repo.Head("main"), head)
			}
		})
	}
}

// TestRefspecKeepsCommits: what the target has and the commit has not is only replaced if
// the refspec says so.
func TestRefspecKeepsCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.repo.Reset("staging", first)
	theirs := w.commit("staging", "fix.yaml", "kind: Fix\n")
	w.policy("app", "1.0.1")
	w.source()
	auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
		a.Spec.GitSpec.Push = &imagev1.PushSpec{Refspec: "HEAD:refs/heads/staging"}
	})
	w.waitFails(auto, imagev1.ReasonGitOperationFailed, "refs/heads/staging has commits", "begin the refspec with +")
	if got := w.repo.Head("staging"); got != theirs {
		t.Errorf("staging is at %s; want it left at %s", got, theirs)
	}
	w.Patch(auto, "test", "spec: {git: {push: {refspec: '+HEAD:refs/heads/staging'}}}")
	w.waitContent("staging", "app.yaml", w.marked("app", "1.0.1"))
	w.WaitReady(auto)
}

// signingKey makes a key: the data of a Secret, and the public half.
func signingKey(t *testing.T, kind imagev1.SigningKeyType) (data map[string]string, public map[string][]byte) {
	t.Helper()
	if kind == imagev1.SigningKeySSH {
		pub, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("word"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.NewPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"identity": string(pem.EncodeToMemory(block)), "password": "word"},
			map[string][]byte{"bot.sshpub": ssh.MarshalAuthorizedKey(key)}
	}
	entity, err := openpgp.NewEntity("bot", "", "bot@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"git.asc": armored(t, openpgp.PrivateKeyType, func(b *bytes.Buffer) error { return entity.SerializePrivate(b, nil) })},
		map[string][]byte{"bot.asc": []byte(armored(t, openpgp.PublicKeyType, func(b *bytes.Buffer) error { return entity.Serialize(b) }))}
}

func armored(t *testing.T, kind string, write func(*bytes.Buffer) error) string {
	t.Helper()
	var raw, out bytes.Buffer
	if err := write(&raw); err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestSigning: the commit has a signature of the key, and a new key in the Secret is used at
// once.
func TestSigning(t *testing.T) {
	t.Parallel()
	for _, kind := range []imagev1.SigningKeyType{imagev1.SigningKeyGPG, imagev1.SigningKeySSH} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
			app := w.policy("app", "1.0.1")
			data, public := signingKey(t, kind)
			w.secret("key", data)
			w.source()
			auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Commit.SigningKey = &imagev1.SigningKey{Type: kind, SecretRef: meta.LocalObjectReference{Name: "key"}}
			})
			w.waitPushed(auto, "main")
			w.checkSigned("main", public)

			data, public = signingKey(t, kind)
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "key"}}
			w.Get(secret)
			secret.StringData = data
			if err := w.Client.Update(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
			w.again(auto)
			w.selects(app, "1.0.2")
			w.waitContent("main", "app.yaml", w.marked("app", "1.0.2"))
			w.checkSigned("main", public)
		})
	}
}

// checkSigned checks that the last commit of a branch is signed by a key.
func (w *world) checkSigned(branch string, public map[string][]byte) {
	w.t.Helper()
	keys, err := signature.ReadKeys(public)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := signature.Commit([]byte(w.repo.Git("cat-file", "commit", branch)))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := keys.Verify(signed, time.Now()); err != nil {
		w.t.Errorf("the commit is not signed by the key: %v", err)
	}
}

// TestSourceOfAnotherNamespace is updated with the credentials that are there, and asked to
// look.
func TestSourceOfAnotherNamespace(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, gitserver.Options{Push: true, Username: "bot", Password: "secret-word"})
	// It sees all namespaces, and of the automations that of this test alone.
	w.start("--watch-all-namespaces=true", "--watch-label-selector=test="+w.Namespace)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.commit("main", "typo.yaml", strings.ReplaceAll(w.marked("app", "1.0.0"), w.Namespace+":", w.Namespace+"-other:"))
	w.policy("app", "1.0.1")
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace + "-other"}}
	if err := w.Client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Client.Delete(context.WithoutCancel(t.Context()), other) })
	w.Create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: other.Name, Name: "git"}, StringData: map[string]string{"username": "bot", "password": "secret-word"},
	})
	source := w.source(func(r *sourcev1.GitRepository) {
		r.Namespace, r.Spec.SecretRef = other.Name, &meta.LocalObjectReference{Name: "git"}
	})
	auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
		a.Labels = map[string]string{"test": w.Namespace}
		a.Spec.SourceRef.Namespace = other.Name
	})
	w.waitContent("main", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")
	w.Wait("a request of the source", source, func() bool { return source.Annotations[meta.ReconcileRequestAnnotation] != "" })
	if got := conditions.GetMessage(auto, meta.ReadyCondition); !says(got, "typo.yaml:3: unknown policy") {
		t.Errorf("Ready says %q; want that there is no such policy in the other namespace", got)
	}
}

// hosted is a world whose repository is on a host that opens pull requests.
func hosted(t *testing.T) (*world, *hosttest.Host, *imagev1.ImagePolicy, *imagev1.ImageUpdateAutomation) {
	t.Helper()
	w := newWorld(t)
	host := hosttest.Start(t, hosttest.Options{Kind: hosttest.GitLab, Project: "fleet/fleet", Token: "secret-word", End: func(branch string) string {
		head, _ := w.repo.Repo.Head(branch) // none is none
		return head
	}})
	w.repo = w.git.Repo("fleet/fleet")
	w.secret("token", map[string]string{"token": "secret-word"})
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	app := w.policy("app", "1.0.0")
	w.source(func(r *sourcev1.GitRepository) { r.Spec.URL = w.git.URL("fleet/fleet") })
	auto := w.automation("auto", pushTo("auto"), func(a *imagev1.ImageUpdateAutomation) {
		a.Annotations = map[string]string{
			pullrequest.Annotation: string(pullrequest.GitLab), pullrequest.APIAnnotation: host.API(), pullrequest.SecretAnnotation: "token",
		}
	})
	w.WaitReady(auto)
	return w, host, app, auto
}

// TestPullRequest: one is opened with the first push, and described anew with the next.
func TestPullRequest(t *testing.T) {
	t.Parallel()
	w, host, app, auto := hosted(t)
	if got := host.Counts().Sum(); got != 0 {
		t.Errorf("the host was asked %d times, and nothing is to be merged", got)
	}
	for i, tag := range []string{"1.0.1", "1.0.2"} {
		w.selects(app, tag)
		w.waitContent("auto", "app.yaml", w.marked("app", tag))
		w.waitPushed(auto, "auto")
		all := host.All()
		if len(all) != 1 || all[0].Title != "Update example.com/app:"+tag {
			t.Fatalf("after %d pushes there are %+v", i+1, all)
		}
		if message := conditions.GetMessage(auto, meta.ReadyCondition); !says(message, "repository up-to-date, pull request http", "is open") {
			t.Errorf("Ready says %q", message)
		}
	}
	w.waitEvent(auto, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "opened pull request http", "for branch 'auto'")
	before := host.Counts().Sum()
	w.again(auto)
	if got := host.Counts().Sum(); got != before {
		t.Errorf("the host was asked %d times more, and nothing is new", got-before)
	}
}

// TestPullRequestThatFails is tried again, and the commit is not pushed again for it.
func TestPullRequestThatFails(t *testing.T) {
	t.Parallel()
	w, host, app, auto := hosted(t)
	host.Break(hosttest.On(http.MethodPost, hosttest.Status(http.StatusForbidden, `{"message":"no"}`)))
	w.selects(app, "1.0.1")
	w.waitFails(auto, imagev1.ReasonPullRequestFailed, "asking ", "may not do that")
	head := w.repo.Head("auto")
	if auto.Status.LastPushCommit != head {
		t.Errorf("lastPushCommit is %q; the branch has %s", auto.Status.LastPushCommit, head)
	}
	w.waitEvent(auto, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "pushed commit '"+head[:7]+"'")
	w.waitEvent(auto, corev1.EventTypeWarning, imagev1.ReasonPullRequestFailed, "may not do that")
	if strings.Contains(w.log.String(), "secret-word") {
		t.Error("the token is in the log")
	}
	host.Break(nil)
	w.WaitReady(auto)
	if got := w.repo.Head("auto"); got != head || len(host.All()) != 1 {
		t.Errorf("the branch is at %s with %d pull requests; want %s and one", got, len(host.All()), head)
	}
}

// TestPullRequestWithoutBranch is an error of the user, which new annotations mend.
func TestPullRequestWithoutBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Commit("main", "by a person", gitserver.File("app.yaml", w.marked("app", "1.0.0")))
	w.policy("app", "1.0.0")
	w.source()
	auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
		a.Annotations = map[string]string{pullrequest.Annotation: string(pullrequest.GitHub)}
	})
	w.waitFails(auto, imagev1.ReasonPullRequestFailed, pullrequest.Annotation, "spec.git.push.branch")
	w.Patch(auto, "test", "metadata: {annotations: {"+pullrequest.Annotation+": null}}")
	w.WaitReady(auto)
}
