package build

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"weir.dev/pkg/manifest"
)

// What Flux 2.9 recorded in the status of the Kustomizations that build this tree: the digest in
// status.history, and the objects in status.inventory.
func TestRecordedPlain(t *testing.T) {
	got, err := Run(diskSource(t, "testdata/fleet"), Spec{
		Path:        "./apps/plain",
		OwnerLabels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "plain"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "sha256:d16761ee3f71954faf23f6f384c57bd14ba1d537118bcb891a95498c1b97ece5"
	if got.Digest != want {
		t.Errorf("digest %s, recorded %s", got.Digest, want)
	}
	checkNames(t, got, "Namespace/plain", "Service/plain/web", "Secret/plain/token", "ClusterRole/plain:reader", "Deployment/plain/web")
}

// The recorded digest of the overlay is of what it is once its variables are substituted, and of
// what it is before its common metadata is set.
func TestRecordedOverlay(t *testing.T) {
	got, err := Run(diskSource(t, "testdata/fleet"), Spec{
		Path:            "./apps/overlay",
		TargetNamespace: "shop",
		Images:          []kustomize.Image{{Name: "registry.example.com/web", NewTag: "1.1.0"}},
		CommonMetadata:  Metadata{Labels: map[string]string{"team": "shop"}},
		Substitute:      &Substitution{Vars: map[string]string{"region": "eu-west-1"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkNames(t, got, "Deployment/shop/web-eu", "ConfigMap/shop/settings-eu-c6hhddh48c")
	const want = "sha256:c450e818134af6033a18c43ae892453917dce5b9c7b2957aac7b80d94b4b2e17"
	if got.Digest != want {
		t.Errorf("digest %s, recorded %s", got.Digest, want)
	}
}

func TestDigestIsThatOfTheYAML(t *testing.T) {
	got, err := Run(diskSource(t, "testdata/fleet"), Spec{Path: "./apps/overlay"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var docs []string
	for _, obj := range got.Objects {
		doc, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(doc))
	}
	if digest := digestOf(strings.Join(docs, "---\n")); digest != got.Digest {
		t.Errorf("digest %s, that of the objects as YAML is %s", got.Digest, digest)
	}
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func checkNames(t *testing.T, result Result, want ...string) {
	t.Helper()
	var got []string
	for _, obj := range result.Objects {
		got = append(got, manifest.IDOf(obj).String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}
