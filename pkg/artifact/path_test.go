package artifact_test

import (
	"strings"
	"testing"

	"weir.dev/pkg/artifact"
)

func TestPathNamesOneFile(t *testing.T) {
	d, err := artifact.NewDir("GitRepository", "flux-system", "fleet")
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.File(commit + ".tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	if want := "gitrepository/flux-system/fleet/" + commit + ".tar.gz"; p.String() != want {
		t.Errorf("String() = %q, want %q", p, want)
	}
	if p.Dir() != d || p.File() != commit+".tar.gz" {
		t.Errorf("parts of %q: %q and %q", p, p.Dir(), p.File())
	}
	again, err := artifact.ParsePath(p.String())
	if err != nil || again != p {
		t.Errorf("ParsePath(%q) = %q, %v", p, again, err)
	}
}

func TestZeroPathIsUnusable(t *testing.T) {
	var p artifact.Path
	if !p.IsZero() || p.String() != "" || !p.Dir().IsZero() || p.Dir().String() != "" {
		t.Errorf("the zero value names %q in %q", p, p.Dir())
	}
	if p, err := p.Dir().File("x"); err == nil {
		t.Errorf("the zero directory has a file %q", p)
	}
}

func TestParsePathRefuses(t *testing.T) {
	tests := map[string]struct{ why, in string }{
		"too few parts":     {why: "the object is not named", in: "gitrepository/flux-system/x.tar.gz"},
		"too many parts":    {why: "an artifact has no directories of its own", in: "gitrepository/a/b/c/x.tar.gz"},
		"root":              {why: "paths are relative", in: "/gitrepository/a/b/x"},
		"empty part":        {why: "two spellings of one path", in: "gitrepository//b/x"},
		"no file":           {why: "that is a directory", in: "gitrepository/a/b/"},
		"parent":            {why: "would leave the object's directory", in: "gitrepository/a/../x"},
		"itself":            {why: "two spellings of one path", in: "gitrepository/a/./x"},
		"hidden file":       {why: "such names are the store's own", in: "gitrepository/a/b/.x"},
		"backslash":         {why: "a separator elsewhere", in: `gitrepository/a/b/..\x`},
		"control character": {why: "breaks logs and headers", in: "gitrepository/a/b/x\n"},
		"not UTF-8":         {why: "cannot stand in a status", in: "gitrepository/a/b/x\xff"},
		"upper-case kind":   {why: "two spellings of one path", in: "GitRepository/a/b/x"},
		"lock":              {why: "the name belongs to another program's locks", in: "gitrepository/a/b/x.tar.gz.lock"},
		"long name":         {why: "no file system takes it", in: "gitrepository/a/b/" + strings.Repeat("x", 256)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := artifact.ParsePath(tc.in); err == nil {
				t.Errorf("ParsePath(%q) = %q (%s)", tc.in, got, tc.why)
			}
		})
	}
}

func TestURLKeepsPathReadable(t *testing.T) {
	tests := map[string]struct{ why, path, address, want string }{
		"host":    {why: "the scheme is implied", path: "gitrepository/a/b/x.tar.gz", address: "source-controller.flux-system.svc.cluster.local.", want: "http://source-controller.flux-system.svc.cluster.local./gitrepository/a/b/x.tar.gz"},
		"scheme":  {why: "an address with a scheme is a prefix", path: "gitrepository/a/b/x.tar.gz", address: "https://artifacts.example/store/", want: "https://artifacts.example/store/gitrepository/a/b/x.tar.gz"},
		"colon":   {why: "the name of an image's artifact has one", path: "ocirepository/a/b/sha256:00.tar.gz", address: "h:9090", want: "http://h:9090/ocirepository/a/b/sha256:00.tar.gz"},
		"plus":    {why: "build metadata of a chart's version", path: "helmchart/a/b/c-1.0.0+1.tgz", address: "h", want: "http://h/helmchart/a/b/c-1.0.0+1.tgz"},
		"escapes": {why: "the rest must still be a URL", path: "helmchart/a/b/c #1?.tgz", address: "h", want: "http://h/helmchart/a/b/c%20%231%3F.tgz"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := artifact.ParsePath(tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.URL(tc.address); got != tc.want {
				t.Errorf("URL(%q) = %q, want %q (%s)", tc.address, got, tc.want, tc.why)
			}
		})
	}
}
