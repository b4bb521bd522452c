package setters

import (
	"bytes"
	"fmt"
	"testing"
)

// manyMarkers is a file with a Deployment for each marker.
func manyMarkers(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-%d\n  namespace: apps\nspec:\n"+
			"  template:\n    spec:\n      containers:\n      - name: app\n        image: example.com/app:1.0.0 # {\"$imagepolicy\": \"apps:app\"}\n"+
			"        ports: [{containerPort: 80}]\n        args: [a, b, c]\n", i)
	}
	return b.Bytes()
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 50, 1000} {
		content, refs := manyMarkers(n), someRefs()
		b.Run(fmt.Sprintf("markers=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if got, err := Set(content, refs); err != nil || len(got.Changes) != n {
					b.Fatal(err, len(got.Changes))
				}
			}
		})
	}
}

func BenchmarkMarked(b *testing.B) {
	content := bytes.ReplaceAll(manyMarkers(1000), []byte(token), []byte(`"imagepolicies"`))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if Marked(content) {
			b.Fatal("marked")
		}
	}
}
