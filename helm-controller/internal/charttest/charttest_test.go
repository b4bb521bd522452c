package charttest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/yaml"

	"weir.dev/helm-controller/internal/charttest"
)

// TestEachSaysWhatItShows: a chart whose purpose nobody knows is never thrown away.
func TestEachSaysWhatItShows(t *testing.T) {
	t.Parallel()
	for _, name := range charttest.Names(t) {
		c := charttest.Open(t, name)
		if c.Name() != name {
			t.Errorf("chart %q is in the folder %q", c.Name(), name)
		}
		var readme string
		for _, file := range c.Load().Files {
			if file.Name == "README.md" {
				readme = string(file.Data)
			}
		}
		if !strings.HasPrefix(readme, "Shows ") {
			t.Errorf("README.md of %q does not say what it shows", name)
		}
	}
}

func TestPackIsReproducible(t *testing.T) {
	t.Parallel()
	for _, name := range charttest.Names(t) {
		if !bytes.Equal(charttest.Open(t, name).Pack(), charttest.Open(t, name).Pack()) {
			t.Errorf("chart %q packs differently each time", name)
		}
	}
}

// TestIgnoredFilesAreNotPacked, as of `helm package`.
func TestIgnoredFilesAreNotPacked(t *testing.T) {
	t.Parallel()
	for name, ignored := range map[string]string{"webapp": "ci/ingress-values.yaml", "files": "config/app.draft"} {
		for _, file := range charttest.Open(t, name).Load().Raw {
			if file.Name == ignored {
				t.Errorf("chart %q has the file %q", name, file.Name)
			}
		}
	}
}

// TestPathDependenciesArePackages, as after `helm dependency build`.
func TestPathDependenciesArePackages(t *testing.T) {
	t.Parallel()
	var found bool
	c := charttest.Open(t, "umbrella").Load()
	for _, file := range c.Raw {
		found = found || file.Name == "charts/worker-2.1.0.tgz"
	}
	if !found {
		t.Error("there is no package of worker in the umbrella chart")
	}
	for _, dependency := range c.Dependencies() {
		if dependency.Name() == "worker" {
			return
		}
	}
	t.Error("the SDK did not find worker in the umbrella chart")
}

func TestAltered(t *testing.T) {
	t.Parallel()
	c := charttest.New(t, "mine", "1.0.0", map[string]string{"templates/a.yaml": "a: {{ .Chart.Version }}", "gone": "x"})
	other := c.At("2.0.0+x").With("more", "y").Without("gone").Replace("a:", "b:")
	if got := fmt.Sprintf("%s %s", other.File(), other.Load().Templates[0].Data); got != "mine-2.0.0+x.tgz b: {{ .Chart.Version }}" {
		t.Errorf("altered chart is %q", got)
	}
	if got := fmt.Sprintf("%s %s", c.File(), c.Load().Templates[0].Data); got != "mine-1.0.0.tgz a: {{ .Chart.Version }}" {
		t.Errorf("the chart that it came from is now %q", got)
	}
	var names []string
	for _, file := range other.Load().Files {
		names = append(names, file.Name)
	}
	if len(names) != 1 || names[0] != "more" {
		t.Errorf("files are %q, want only more", names)
	}
}

// TestCertificatesAreGood: the certificate is of the authority, for the host that the API server asks.
func TestCertificatesAreGood(t *testing.T) {
	t.Parallel()
	rel, err := charttest.Render(t, charttest.Open(t, "certificates").Load(), charttest.Variant{})
	if err != nil {
		t.Fatal(err)
	}
	var secret struct {
		Data map[string][]byte `json:"data"`
	}
	for document := range strings.SplitSeq(rel.Manifest, "---\n") {
		if strings.Contains(document, "kind: Secret") {
			if err := yaml.Unmarshal([]byte(document), &secret); err != nil {
				t.Fatal(err)
			}
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		t.Fatal("ca.crt holds no certificate")
	}
	block, _ := pem.Decode(secret.Data["tls.crt"])
	if block == nil {
		t.Fatal("tls.crt is no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	host := charttest.ReleaseName + "-webhook." + charttest.ReleaseNamespace + ".svc"
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
		t.Errorf("verifying the certificate: %v", err)
	}
}

// TestPasswordIsNew: without a cluster that keeps one, each render makes another.
func TestPasswordIsNew(t *testing.T) {
	t.Parallel()
	var manifests [2]string
	for i := range manifests {
		rel, err := charttest.Render(t, charttest.Open(t, "database").Load(), charttest.Variant{})
		if err != nil {
			t.Fatal(err)
		}
		manifests[i] = rel.Manifest
	}
	if manifests[0] == manifests[1] {
		t.Error("the password is the same for every release")
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := charttest.Serve(t)
	c := charttest.Open(t, "umbrella")
	artifact := s.Publish(c)
	if got := download(t, artifact); artifact.Digest != fmt.Sprintf("sha256:%x", sha256.Sum256(got)) || *artifact.Size != int64(len(got)) {
		t.Errorf("downloaded %d bytes, which are not those of %s with %d bytes", len(got), artifact.Digest, *artifact.Size)
	}
	if artifact.Revision != c.Version() {
		t.Errorf("revision is %q", artifact.Revision)
	}
	s.Break(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "other") })
	if got := string(download(t, artifact)); got != "other" {
		t.Errorf("a broken server sends %q", got)
	}
	s.Break(nil)
	s.Withdraw(artifact)
	if got := string(download(t, artifact)); got != "404 page not found\n" {
		t.Errorf("a withdrawn artifact is %q", got)
	}
	if got := s.Downloads(artifact); got != 3 || s.Downloads(nil) != 3 {
		t.Errorf("counted %d downloads", got)
	}
}

func download(t *testing.T, a *meta.Artifact) []byte {
	t.Helper()
	response, err := http.Get(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestIncompressible(t *testing.T) {
	t.Parallel()
	if n := len(charttest.Incompressible(1001)); n != 1001 {
		t.Errorf("got %d bytes", n)
	}
	if charttest.Incompressible(100) != charttest.Incompressible(200)[:100] {
		t.Error("the text is another each time")
	}
}
