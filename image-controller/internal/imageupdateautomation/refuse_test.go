package imageupdateautomation_test

import (
	"net/http"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/pullrequest"
)

// refusal is something that keeps an update from being pushed.
type refusal struct {
	server  gitserver.Options
	strict  bool                                 // no references to other namespaces
	spoil   func(w *world)                       // before the objects are created
	source  func(*sourcev1.GitRepository)        // nil if it is as usual
	auto    func(*imagev1.ImageUpdateAutomation) // nil if it is as usual
	reason  string
	message []string // what it contains
	stalled bool
	mend    func(w *world, auto *imagev1.ImageUpdateAutomation) // after that, the update is pushed; nil if that is tested elsewhere
}

// specOf changes the spec of an automation by a patch.
func specOf(patch string) func(*world, *imagev1.ImageUpdateAutomation) {
	return func(w *world, auto *imagev1.ImageUpdateAutomation) { w.Patch(auto, "test", patch) }
}

func refusals() map[string]refusal {
	return map[string]refusal{
		"no spec.git": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.GitSpec = nil },
			reason: imagev1.ReasonInvalidSourceConfiguration, message: []string{"spec.git"}, stalled: true,
			mend: specOf("spec: {git: {commit: {author: {email: bot@example.com}}}}"),
		},
		"another namespace": {
			strict: true, auto: func(a *imagev1.ImageUpdateAutomation) { a.Spec.SourceRef.Namespace = "elsewhere" },
			reason: imagev1.ReasonAccessDenied, message: []string{"can't access 'GitRepository/elsewhere/fleet', cross-namespace references have been blocked"}, stalled: true,
			mend: specOf("spec: {sourceRef: {namespace: null}}"),
		},
		"a bad selector": {
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.PolicySelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Likes", Values: []string{"a"}}}}
			},
			reason: imagev1.ReasonInvalidPolicySelector, message: []string{"failed to parse policy selector: ", "Likes"}, stalled: true,
			mend: specOf("spec: {policySelector: null}"),
		},
		"a template with a removed field": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.GitSpec.Commit.MessageTemplate = "{{ .Updated }}" },
			reason: imagev1.ReasonRemovedTemplateField, message: []string{".Updated", ".Changed.Changes"}, stalled: true,
			mend: specOf("spec: {git: {commit: {messageTemplate: null}}}"),
		},
		"a malformed template": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.GitSpec.Commit.MessageTemplate = "{{ .Changed" },
			reason: imagev1.ReasonInvalidSourceConfiguration, message: []string{"invalid template of the commit message: ", "messageTemplate:1"}, stalled: true,
			mend: specOf("spec: {git: {commit: {messageTemplate: null}}}"),
		},
		"a template that fails": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.GitSpec.Commit.MessageTemplate = "{{ .Nothing }}" },
			reason: imagev1.ReasonUpdateFailed, message: []string{"failed to apply policies: the template of the commit message fails: ", "Nothing"},
			mend: specOf("spec: {git: {commit: {messageTemplate: null}}}"),
		},
		"a malformed refspec": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.GitSpec.Push = &imagev1.PushSpec{Refspec: "main"} },
			reason: imagev1.ReasonInvalidSourceConfiguration, message: []string{"spec.git.push: refspec \"main\""}, stalled: true,
			mend: specOf("spec: {git: {push: null}}"),
		},
		"a refspec of something else": {
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Push = &imagev1.PushSpec{Refspec: "refs/heads/other:refs/heads/staging"}
			},
			reason: imagev1.ReasonInvalidSourceConfiguration, message: []string{"write HEAD or refs/heads/main"}, stalled: true,
			mend: specOf("spec: {git: {push: null}}"),
		},
		"no branch to push to": {
			source: func(r *sourcev1.GitRepository) { r.Spec.Reference = &sourcev1.GitRepositoryRef{Tag: "v1"} },
			reason: imagev1.ReasonSourceManagerFailed, message: []string{"failed configuring source manager: push spec not provided, and cannot be inferred from .spec.git.checkout.ref or GitRepository .spec.ref"},
			mend: func(w *world, _ *imagev1.ImageUpdateAutomation) {
				w.Patch(&sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "fleet"}}, "test", "spec: {ref: {tag: null, branch: main}}")
			},
		},
		"no GitRepository": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.SourceRef.Name = "missing" },
			reason: imagev1.ReasonSourceManagerFailed, message: []string{"failed configuring source manager: GitRepository ", "/missing' not found"},
			mend: func(w *world, _ *imagev1.ImageUpdateAutomation) {
				w.source(func(r *sourcev1.GitRepository) { r.Name = "missing" })
			},
		},
		"no Secret": {
			source: func(r *sourcev1.GitRepository) { r.Spec.SecretRef = &meta.LocalObjectReference{Name: "git"} },
			reason: imagev1.ReasonSourceManagerFailed, message: []string{"failed configuring source manager: failed to get secret ", "/git'"},
			mend: func(w *world, _ *imagev1.ImageUpdateAutomation) {
				w.secret("git", map[string]string{"username": "bot", "password": "secret-word"})
			},
		},
		"a wrong password": {
			server: gitserver.Options{Push: true, Username: "bot", Password: "secret-word"},
			spoil:  func(w *world) { w.secret("git", map[string]string{"username": "bot", "password": "wrong-word"}) },
			source: func(r *sourcev1.GitRepository) { r.Spec.SecretRef = &meta.LocalObjectReference{Name: "git"} },
			reason: imagev1.ReasonGitOperationFailed, message: []string{"failed to checkout source: ", "authentication failed"},
			mend: func(w *world, _ *imagev1.ImageUpdateAutomation) {
				w.Patch(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "git"}}, "test", "stringData: {password: secret-word}")
			},
		},
		"a server that takes no pushes": {
			server: gitserver.Options{BearerToken: "x"}, // TestRefused lets all others push
			spoil:  func(w *world) { w.secret("git", map[string]string{"bearerToken": "x"}) },
			source: func(r *sourcev1.GitRepository) { r.Spec.SecretRef = &meta.LocalObjectReference{Name: "git"} },
			reason: imagev1.ReasonGitOperationFailed, message: []string{"failed to update source: "},
		},
		"a protected branch": {
			spoil:  func(w *world) { w.repo.Protect("main", "main takes pull requests only") },
			reason: imagev1.ReasonGitOperationFailed, message: []string{"failed to update source: ", "main takes pull requests only"},
			mend: specOf("spec: {git: {push: {branch: auto}}}"),
		},
		"no such branch": {
			source: func(r *sourcev1.GitRepository) { r.Spec.Reference.Branch = "missing" },
			reason: imagev1.ReasonGitOperationFailed, message: []string{"failed to checkout source: branch \"missing\": reference not found"},
			mend: specOf("spec: {git: {checkout: {ref: {branch: main}}}}"),
		},
		"no such path": {
			auto:   func(a *imagev1.ImageUpdateAutomation) { a.Spec.Update = &imagev1.UpdateStrategy{Path: "./missing"} },
			reason: imagev1.ReasonUpdateFailed, message: []string{"failed to apply policies: \"missing\": no such file or folder in the repository"},
			mend: specOf("spec: {update: {path: null}}"),
		},
		"no signing key": {
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Commit.SigningKey = &imagev1.SigningKey{SecretRef: meta.LocalObjectReference{Name: "key"}}
			},
			reason: imagev1.ReasonSourceManagerFailed, message: []string{"failed to get signing key secret ", "/key'"},
			mend: specOf("spec: {git: {commit: {signingKey: null}}}"),
		},
		"a bad signing key": {
			spoil: func(w *world) { w.secret("key", map[string]string{"git.asc": "secret-word"}) },
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Commit.SigningKey = &imagev1.SigningKey{SecretRef: meta.LocalObjectReference{Name: "key"}}
			},
			reason: imagev1.ReasonSourceManagerFailed, message: []string{"signing key secret ", "unusable private key"},
			mend: specOf("spec: {git: {commit: {signingKey: null}}}"),
		},
		"a signing key of the other type": {
			spoil: func(w *world) { w.secret("key", map[string]string{"git.asc": "x"}) },
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Commit.SigningKey = &imagev1.SigningKey{Type: imagev1.SigningKeySSH, SecretRef: meta.LocalObjectReference{Name: "key"}}
			},
			reason: imagev1.ReasonSourceManagerFailed, message: []string{"signing key secret ", "it has no key 'identity'"},
		},
		"push options that the server does not take": {
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Spec.GitSpec.Push = &imagev1.PushSpec{Options: map[string]string{"merge_request.create": ""}}
			},
			reason: imagev1.ReasonGitOperationFailed, message: []string{"failed to update source: ", "push options"},
			mend: specOf("spec: {git: {push: null}}"),
		},
		"pull requests of a host that nobody knows": {
			auto: func(a *imagev1.ImageUpdateAutomation) {
				a.Annotations = map[string]string{pullrequest.Annotation: "sourceforge"}
			},
			reason: imagev1.ReasonPullRequestFailed, message: []string{"sourceforge", "github, gitlab and gitea"}, stalled: true,
			mend: func(w *world, auto *imagev1.ImageUpdateAutomation) {
				w.Patch(auto, "test", "metadata: {annotations: {"+pullrequest.Annotation+": null}}")
			},
		},
		"a remote in trouble": {
			spoil:  func(w *world) { w.git.Faults.Set(gitserver.Status(http.StatusServiceUnavailable)) },
			reason: imagev1.ReasonGitOperationFailed, message: []string{"failed to checkout source: ", "503"},
			mend: func(w *world, _ *imagev1.ImageUpdateAutomation) { w.git.Faults.Set(nil) },
		},
	}
}

// TestRefused: what is in the way is said, in words that help, and without secrets. When it
// is gone, the update is pushed.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range refusals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.server.Push = tc.server.BearerToken == ""
			w := prepareWorld(t, tc.server)
			w.opts.SameNamespaceOnly = tc.strict
			w.start()
			w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
			w.policy("app", "1.0.1")
			if tc.spoil != nil {
				tc.spoil(w)
			}
			adjust := func(*sourcev1.GitRepository) {}
			if tc.source != nil {
				adjust = tc.source
			}
			w.source(adjust)
			change := func(*imagev1.ImageUpdateAutomation) {}
			if tc.auto != nil {
				change = tc.auto
			}
			auto := w.automation("auto", change)
			w.waitFails(auto, tc.reason, tc.message...)
			if got := conditions.IsStalled(auto); got != tc.stalled {
				t.Errorf("stalled is %t; want %t", got, tc.stalled)
			}
			w.waitEvent(auto, corev1.EventTypeWarning, tc.reason, tc.message...)
			if got := w.subjects("main"); len(got) != 1 {
				t.Errorf("the branch has %q; nothing was to be pushed", got)
			}
			for _, secret := range []string{"secret-word", "wrong-word"} {
				if says(conditions.GetMessage(auto, meta.ReadyCondition), secret) || says(w.log.String(), secret) {
					t.Errorf("a secret is told: %s", conditions.GetMessage(auto, meta.ReadyCondition))
				}
			}
			if tc.mend == nil {
				return
			}
			tc.mend(w, auto)
			branch := "main"
			if name == "a protected branch" {
				branch = "auto"
			}
			w.waitContent(branch, "app.yaml", w.marked("app", "1.0.1"))
			w.waitPushed(auto, branch)
		})
	}
}
