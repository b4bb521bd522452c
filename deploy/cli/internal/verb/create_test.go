package verb_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/testplane"
)

// exported runs create without a cluster, and returns what it prints, and what it says.
func exported(t *testing.T, stdin string, env map[string]string, args ...string) (manifests, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := session.Streams{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr}
	none := filepath.Join(t.TempDir(), "none")
	args = append([]string{"create", "--kubeconfig", none, "--export"}, args...)
	if code := verb.Main(t.Context(), args, streams, func(key string) string { return env[key] }); code != 0 {
		t.Fatalf("weir %s: exit code %d:\n%s", strings.Join(args, " "), code, stderr.String())
	}
	return stdout.String(), stderr.String()
}

// read reads manifests.
func read(t *testing.T, manifests string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for text := range strings.SplitSeq(strings.TrimPrefix(manifests, "---\n"), "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
			t.Fatal(err)
		}
		out = append(out, obj)
	}
	return out
}

// TestCreateExportsWhatTheAPITakes: the API server refuses fields that it does not know, and
// values that there are not. What controllers say of objects is for them to set.
func TestCreateExportsWhatTheAPITakes(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	file := filepath.Join(t.TempDir(), "file.crt")
	if err := os.WriteFile(file, []byte(`{"version": "1.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string][]string{
		"git":              {"source", "git", "a", "--url=https://example.com/a.git", "--branch=main", "--sparse-checkout-paths=b", "--recurse-submodules", "--proxy-secret-ref=p", "--secret-ref=s"},
		"git tag":          {"source", "git", "a", "--url=https://example.com/a.git", "--tag=v1", "--provider=azure", "--service-account=s", "--label=team=shop"},
		"oci":              {"source", "oci", "a", "--url=oci://example.com/a", "--digest=sha256:" + strings.Repeat("0", 64), "--verify-provider=notation", "--verify-secret-ref=v", "--provider=aws", "--cert-ref=c"},
		"oci cosign":       {"source", "oci", "a", "--url=oci://example.com/a", "--tag-semver=1.x", "--verify-provider=cosign", "--verify-issuer=i", "--verify-subject=s", "--insecure", "--ignore-paths=a,b"},
		"helm":             {"source", "helm", "a", "--url=https://example.com", "--pass-credentials"},
		"helm oci":         {"source", "helm", "a", "--url=oci://example.com/charts", "--oci-provider=gcp"},
		"chart":            {"source", "chart", "a", "--source=GitRepository/b", "--chart=./c", "--reconcile-strategy=Revision"},
		"bucket":           {"source", "bucket", "a", "--bucket-name=b", "--endpoint=example.com", "--region=eu", "--insecure", "--secret-ref=s"},
		"bucket sts":       {"source", "bucket", "a", "--bucket-name=b", "--endpoint=example.com", "--provider=aws", "--sts-provider=aws", "--sts-endpoint=https://example.com"},
		"kustomization":    {"kustomization", "a", "--source=OCIRepository/b", "--retry-interval=1m", "--service-account=s", "--health-check=Deployment/b.c", "--decryption-provider=sops"},
		"helmrelease":      {"helmrelease", "a", "--source=Bucket/b", "--chart=c", "--chart-interval=1m", "--kubeconfig-secret-ref=k", "--crds=CreateReplace", "--values-from=Secret/v", "--depends-on=b/c"},
		"helmrelease ref":  {"helmrelease", "a", "--chart-ref=OCIRepository/b.c", "--create-target-namespace", "--target-namespace=d"},
		"image repository": {"image", "repository", "a", "--image=example.com/a", "--scan-timeout=10s"},
		"image policy":     {"image", "policy", "a", "--image-ref=a", "--select-alpha=desc", "--reflect-digest=Always", "--interval=1h"},
		"image update":     {"image", "update", "a", "--git-repo-ref=b", "--checkout-branch=main", "--author-name=c", "--author-email=c@example.com", "--git-repo-path=./d", "--push-branch=e"},
		"secret git":       {"secret", "git", "a", "--url=https://example.com/a.git", "--username=b", "--password=c", "--ca-crt-file=" + file},
		"secret githubapp": {"secret", "githubapp", "a", "--app-id=1", "--app-installation-owner=b", "--app-private-key=" + file},
		"secret helm":      {"secret", "helm", "a", "--username=b", "--password=c", "--tls-crt-file=" + file, "--tls-key-file=" + file},
		"secret notation":  {"secret", "notation", "a", "--trust-policy-file=" + file, "--ca-cert-file=" + file},
		"secret oci":       {"secret", "oci", "a", "--url=example.com", "--username=b", "--password=c"},
		"secret proxy":     {"secret", "proxy", "a", "--address=http://example.com:3128", "--username=b", "--password=c"},
		"secret receiver":  {"secret", "receiver", "a", "--hostname=example.com"},
		"secret tls":       {"secret", "tls", "a", "--ca-crt-file=" + file},
		"tenant":           {"tenant", "a", "--with-namespace=" + p.Namespace, "--cluster-role=view", "--with-service-account=b"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifests, _ := exported(t, "", nil, append(args, "--namespace", p.Namespace)...)
			for _, never := range []string{"status", "null", "creationTimestamp", "{}"} {
				if strings.Contains(manifests, never) {
					t.Errorf("it has %q:\n%s", never, manifests)
				}
			}
			for _, obj := range read(t, manifests) {
				err := p.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("test"), client.DryRunAll)
				if err != nil {
					t.Errorf("%v:\n%s", err, manifests)
				}
			}
		})
	}
}

// TestCreateSecretReadsWhatIsSecret: values of flags can be seen by all who list processes.
func TestCreateSecretReadsWhatIsSecret(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args     []string
		env, key string
	}{
		"git":      {args: []string{"git", "a", "--url=https://example.com/a.git", "--username=b", "--password=-"}, env: "GIT_PASSWORD", key: "password"},
		"bearer":   {args: []string{"git", "a", "--url=https://example.com/a.git", "--bearer-token=-"}, key: "bearerToken"},
		"helm":     {args: []string{"helm", "a", "--username=b", "--password=-"}, env: "HELM_PASSWORD", key: "password"},
		"oci":      {args: []string{"oci", "a", "--url=example.com", "--username=b", "--password=-"}, env: "OCI_PASSWORD", key: ".dockerconfigjson"},
		"proxy":    {args: []string{"proxy", "a", "--address=http://example.com", "--username=b", "--password=-"}, env: "PROXY_PASSWORD", key: "password"},
		"receiver": {args: []string{"receiver", "a", "--token=-"}, env: "RECEIVER_TOKEN", key: "token"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(how, manifest, said string) {
				var secret corev1.Secret
				if err := yaml.UnmarshalStrict([]byte(manifest), &secret); err != nil {
					t.Fatal(err)
				}
				if got := secret.StringData[tc.key]; got != "s3cret" && !strings.Contains(got, `"password":"s3cret"`) {
					t.Errorf("%s: %s is %q", how, tc.key, got)
				}
				if strings.Contains(said, "s3cret") {
					t.Errorf("%s: it is told:\n%s", how, said)
				}
			}
			args := append([]string{"secret"}, tc.args...)
			manifest, said := exported(t, "s3cret\n", nil, args...)
			check("piped in", manifest, said)
			if tc.env != "" {
				manifest, said = exported(t, "", map[string]string{tc.env: "s3cret"}, args[:len(args)-1]...)
				check("of the environment", manifest, said)
			}
		})
	}
}

// TestCreateSecretGitOverSSH: the Secret has a new key, and that of the host; only the public
// key is told.
func TestCreateSecretGitOverSSH(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	manifest, said := exported(t, "", nil, "secret", "git", "auth", "--url="+s.SSHURL("fleet"))
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict([]byte(manifest), &secret); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey([]byte(secret.StringData["identity"]))
	if err != nil {
		t.Fatal(err)
	}
	made, ok := key.(*ecdsa.PrivateKey)
	if !ok || made.Curve.Params().Name != "P-384" {
		t.Errorf("the key is a %T; want one of ECDSA on P-384", key)
	}
	if public := strings.TrimSpace(secret.StringData["identity.pub"]); !strings.Contains(said, public) || !strings.HasPrefix(public, "ecdsa-sha2-nistp384 ") {
		t.Errorf("the public key is %q, and it says:\n%s", public, said)
	}
	if strings.Contains(said, "PRIVATE KEY") {
		t.Error("the private key is told")
	}
	_, hostKey, found := strings.Cut(strings.TrimSpace(string(s.SSH().KnownHosts)), " ")
	if !found || !strings.Contains(secret.StringData["known_hosts"], hostKey) {
		t.Errorf("the keys of the host are %q; want %q", secret.StringData["known_hosts"], hostKey)
	}
}

// TestCreateSourceGitAsks: nothing is made before somebody has given the new key access.
func TestCreateSourceGitAsks(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	create := func(answer string) (code int, said string) {
		var stdout, stderr bytes.Buffer
		streams := session.Streams{In: strings.NewReader(answer), Out: &stdout, Err: &stderr}
		code = verb.Main(t.Context(), []string{
			"create", "source", "git", "fleet", "--kubeconfig", p.Kubeconfig(), "-n", p.Namespace, "--url=" + s.SSHURL("fleet"), "--branch=main", "--ssh-key-algorithm=ed25519",
		}, streams, func(string) string { return "" })
		return code, stderr.String()
	}
	code, said := create("no\n")
	if code != 1 || !strings.Contains(said, "\nssh-ed25519 ") || !strings.Contains(said, "not confirmed") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: p.Namespace, Name: "fleet"}
	if err := p.Client.Get(t.Context(), key, secret); !apierrors.IsNotFound(err) {
		t.Errorf("there is a Secret: %v", err)
	}

	type end struct {
		code int
		said string
	}
	ended := make(chan end, 1)
	go func() {
		code, said := create("yes\n")
		ended <- end{code, said}
	}()
	repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	p.Eventually("the GitRepository exists", func() bool { return p.Get(repo) })
	if repo.Spec.SecretRef == nil || repo.Spec.SecretRef.Name != "fleet" {
		t.Errorf("the GitRepository names the Secret %+v", repo.Spec.SecretRef)
	}
	if err := p.Client.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.Data["identity"]) == 0 || len(secret.Data["known_hosts"]) == 0 {
		t.Errorf("the Secret has %d keys, not what lets in", len(secret.Data))
	}
	repo.Status.ObservedGeneration = repo.Generation // as its controller does
	conditions.MarkTrue(repo, meta.ReadyCondition, meta.SucceededReason, "stored artifact")
	if err := p.Client.Status().Update(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.code != 0 || strings.Contains(got.said, "PRIVATE KEY") {
		t.Errorf("exit code %d:\n%s", got.code, got.said)
	}
}

// TestCreateSecretOCI: Docker and controllers read it.
func TestCreateSecretOCI(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		"registry.example.com": "registry.example.com", "oci://registry.example.com/team/app": "registry.example.com", "127.0.0.1:5000": "127.0.0.1:5000",
	} {
		manifest, _ := exported(t, "", nil, "secret", "oci", "auth", "--url="+where, "--username=ann", "--password=s3cret")
		var secret corev1.Secret
		if err := yaml.UnmarshalStrict([]byte(manifest), &secret); err != nil {
			t.Fatal(err)
		}
		var config struct {
			Auths map[string]struct {
				Username, Password string
				Auth               []byte
			}
		}
		if err := json.Unmarshal([]byte(secret.StringData[corev1.DockerConfigJsonKey]), &config); err != nil {
			t.Fatal(err)
		}
		if got := config.Auths[want]; got.Username != "ann" || got.Password != "s3cret" || string(got.Auth) != "ann:s3cret" || secret.Type != corev1.SecretTypeDockerConfigJson {
			t.Errorf("%s: the Secret of type %s has %+v", where, secret.Type, config)
		}
	}
}
