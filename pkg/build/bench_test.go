package build

import "testing"

func BenchmarkRun(b *testing.B) {
	src := diskSource(b, "testdata/fleet")
	for _, path := range []string{"apps/plain", "apps/overlay"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Run(src, Spec{Path: path}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	src := diskSource(b, "testdata/fleet")
	content, _ := src.ReadFile("apps/plain/rest.yaml")
	c2, _ := src.ReadFile("apps/plain/web.yaml")
			b.ReportAllocs()
	for b.Loop() {
		documents(content)
		documents(c2)
	}
}
