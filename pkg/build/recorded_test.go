package build

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"
	"sigs.k8s.io/yaml"
)

// The digests are those that Flux 2.9 recorded in status.history for the same tree.
const (
	plainDigest   = "sha256:d16761ee3f71954faf23f6f384c57bd14ba1d537118bcb891a95498c1b97ece5"
	overlayDigest = "sha256:c450e818134af6033a18c43ae892453917dce5b9c7b2957aac7b80d94b4b2e17"
)

func TestDigestIsAsRecorded(t *testing.T) {
	src := diskSource(t, "testdata/fleet")
	got, err := Run(src, Spec{Path: "./apps/overlay", TargetNamespace: "shop",
		Images: []kustomize.Image{{Name: "registry.example.com/web", NewTag: "1.1.0"}}})
	t.Log(got.Digest, err)
	var docs []string
	for _, o := range got.Objects {
		y, _ := yaml.Marshal(o.Object)
		docs = append(docs, string(y))
	}
	text := strings.NewReplacer("${region}", "eu-west-1", "${size:=small}", "small").Replace(strings.Join(docs, "---\n"))
	fmt.Println(text)
	fmt.Printf("%x %x\n", sha256.Sum256([]byte(text)), sha256.Sum256([]byte(strings.Join(docs, "---\n"))))
}
