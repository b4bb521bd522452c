package verb_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/testplane"
)

// exported runs create without a cluster, and returns the only manifest that it prints.
func exported(t *testing.T, args ...string) (manifest, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := session.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}
	none := filepath.Join(t.TempDir(), "none")
	args = append([]string{"create", "--kubeconfig", none, "--export"}, args...)
	if code := verb.Main(t.Context(), args, streams, func(string) string { return "" }); code != 0 {
		t.Fatalf("weir %s: exit code %d:\n%s", strings.Join(args, " "), code, stderr.String())
	}
	manifest, ok := strings.CutPrefix(stdout.String(), "---\n")
	if !ok || strings.Contains(manifest, "---\n") {
		t.Fatalf("it is not one manifest:\n%s", stdout.String())
	}
	return manifest, stderr.String()
}

// TestCreateExportsWhatTheAPIHas: each manifest has only fields of its kind, and nothing that
// controllers set.
func TestCreateExportsWhatTheAPIHas(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		into any
	}{
		"git":              {[]string{"source", "git", "a", "--url=https://example.com/a.git", "--branch=main", "--sparse-checkout-paths=b", "--recurse-submodules", "--proxy-secret-ref=p"}, &sourcev1.GitRepository{}},
		"oci":              {[]string{"source", "oci", "a", "--url=oci://example.com/a", "--digest=sha256:0", "--verify-provider=notation", "--verify-secret-ref=v", "--provider=aws", "--cert-ref=c"}, &sourcev1.OCIRepository{}},
		"helm":             {[]string{"source", "helm", "a", "--url=https://example.com", "--pass-credentials"}, &sourcev1.HelmRepository{}},
		"chart":            {[]string{"source", "chart", "a", "--source=GitRepository/b", "--chart=./c", "--reconcile-strategy=Revision"}, &sourcev1.HelmChart{}},
		"bucket":           {[]string{"source", "bucket", "a", "--bucket-name=b", "--endpoint=example.com", "--region=eu", "--insecure"}, &sourcev1.Bucket{}},
		"kustomization":    {[]string{"kustomization", "a", "--source=OCIRepository/b", "--retry-interval=1m", "--service-account=s"}, &kustomizev1.Kustomization{}},
		"helmrelease":      {[]string{"helmrelease", "a", "--source=Bucket/b", "--chart=c", "--chart-interval=1m", "--kubeconfig-secret-ref=k"}, &helmv2.HelmRelease{}},
		"image repository": {[]string{"image", "repository", "a", "--image=example.com/a"}, &imagev1.ImageRepository{}},
		"image policy":     {[]string{"image", "policy", "a", "--image-ref=a", "--select-alpha=desc"}, &imagev1.ImagePolicy{}},
		"image update":     {[]string{"image", "update", "a", "--git-repo-ref=b", "--checkout-branch=main", "--author-name=c", "--author-email=c@example.com"}, &imagev1.ImageUpdateAutomation{}},
		"secret":           {[]string{"secret", "helm", "a", "--username=b", "--password=c"}, &corev1.Secret{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifest, _ := exported(t, tc.args...)
			if err := yaml.UnmarshalStrict([]byte(manifest), tc.into); err != nil {
				t.Errorf("%v:\n%s", err, manifest)
			}
			for _, never := range []string{"status", "null", "creationTimestamp", "{}"} {
				if strings.Contains(manifest, never) {
					t.Errorf("it has %q:\n%s", never, manifest)
				}
			}
		})
	}
}

// TestCreateSecretGitOverSSH: the Secret has a new key, and that of the host; only the public
// key is told.
func TestCreateSecretGitOverSSH(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	manifest, said := exported(t, "secret", "git", "auth", "--url="+s.SSHURL("fleet"))
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict([]byte(manifest), &secret); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(secret.Data["identity"])
	if err != nil {
		t.Fatal(err)
	}
	made, ok := key.(*ecdsa.PrivateKey)
	if !ok || made.Curve.Params().Name != "P-384" {
		t.Errorf("the key is a %T; want one of ECDSA on P-384", key)
	}
	if public := strings.TrimSpace(string(secret.Data["identity.pub"])); !strings.Contains(said, public) || !strings.HasPrefix(public, "ecdsa-sha2-nistp384 ") {
		t.Errorf("the public key is %q, and it says:\n%s", public, said)
	}
	if strings.Contains(said, "PRIVATE KEY") {
		t.Error("the private key is told")
	}
	_, hostKey, found := strings.Cut(strings.TrimSpace(string(s.SSH().KnownHosts)), " ")
	if !found || !bytes.Contains(secret.Data["known_hosts"], []byte(hostKey)) {
		t.Errorf("the keys of the host are %q; want %q", secret.Data["known_hosts"], hostKey)
	}
}

// TestCreateSourceGitAsks: nothing is made before somebody has given the new key access.
func TestCreateSourceGitAsks(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	var stdout, stderr bytes.Buffer
	streams := session.Streams{In: strings.NewReader("no\n"), Out: &stdout, Err: &stderr}
	code := verb.Main(t.Context(), []string{
		"create", "source", "git", "fleet", "--kubeconfig", p.Kubeconfig(), "-n", p.Namespace, "--url=" + s.SSHURL("fleet"), "--branch=main", "--ssh-key-algorithm=ed25519",
	}, streams, func(string) string { return "" })
	said := stderr.String()
	if code != 1 || !strings.Contains(said, "\nssh-ed25519 ") || !strings.Contains(said, "not confirmed") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	err := p.Client.Get(t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: "fleet"}, &corev1.Secret{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("there is a Secret: %v", err)
	}
}

// TestCreateSecretOCI: Docker and controllers read it.
func TestCreateSecretOCI(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		"registry.example.com": "registry.example.com", "oci://registry.example.com/team/app": "registry.example.com", "127.0.0.1:5000": "127.0.0.1:5000",
	} {
		manifest, _ := exported(t, "secret", "oci", "auth", "--url="+where, "--username=ann", "--password=s3cret")
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
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config); err != nil {
			t.Fatal(err)
		}
		if got := config.Auths[want]; got.Username != "ann" || got.Password != "s3cret" || string(got.Auth) != "ann:s3cret" || secret.Type != corev1.SecretTypeDockerConfigJson {
			t.Errorf("%s: the Secret of type %s has %+v", where, secret.Type, config)
		}
	}
}
