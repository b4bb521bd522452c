package bucket

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/source"
)

func text(s string) *string { return &s }

func keysOf(x index) []string {
	var keys []string
	for _, o := range x.sorted() {
		keys = append(keys, o.Key)
	}
	return keys
}

func TestNewIndex(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		in     []string // a size of 0 is told by a leading "0:"
		file   string   // .sourceignore
		ignore *string
		want   []string
		says   []string // of the error; none: there is no error
	}{
		"all":            {in: []string{"b/a.yaml", "a.yaml", "b.yaml"}, want: []string{"a.yaml", "b/a.yaml", "b.yaml"}},
		"nothing":        {why: "an empty bucket is one too"},
		"defaults":       {why: "pictures are left out where there is no rule", in: []string{"a.jpg", "x/a.zip", ".git/config", "a.yaml"}, want: []string{"a.yaml"}},
		"a rule":         {why: "any rule replaces the defaults, but for what Git has", in: []string{"a.jpg", ".git/config", "a.md", "a.yaml"}, ignore: text("*.md"), want: []string{"a.jpg", "a.yaml"}},
		"empty rules":    {why: "no rule at all", in: []string{"a.jpg", "a.yaml"}, ignore: text("# none\n"), want: []string{"a.yaml"}},
		"a file's rule":  {in: []string{"a.md", "docs/a.yaml", "a.yaml"}, file: "docs/\n*.md", want: []string{"a.yaml"}},
		"spec over file": {in: []string{"a.md", "b.md"}, file: "*.md", ignore: text("!a.md"), want: []string{"a.md"}},
		"re-included":    {why: "below a folder that is left out", in: []string{"x/a", "deploy/a"}, ignore: text("/*\n!/deploy/**"), want: []string{"deploy/a"}},

		"absolute":         {in: []string{"/etc/passwd"}, says: []string{`"/etc/passwd"`, "empty part", "spec.ignore"}},
		"double slash":     {in: []string{"a//b"}, says: []string{`"a//b"`, "empty part"}},
		"dot dot":          {in: []string{"a/../../b"}, says: []string{`".."`}},
		"dot":              {in: []string{"a/./b"}, says: []string{`"."`}},
		"dots that are no": {why: "only whole parts count", in: []string{"a..b/c..."}, want: []string{"a..b/c..."}},
		"backslash":        {in: []string{`a\b`}, says: []string{"backslash"}},
		"newline":          {why: "it would forge a line of the revision", in: []string{"a x\nb"}, says: []string{"control character"}},
		"delete":           {in: []string{"a\x7f"}, says: []string{"control character"}},
		"not UTF-8":        {in: []string{"a\xff"}, says: []string{"UTF-8"}},
		"long part":        {in: []string{strings.Repeat("a", 256)}, says: []string{"255 bytes"}},
		"ignored":          {why: "what is left out may have any name", in: []string{"bad/../x", "a"}, ignore: text("bad/"), want: []string{"a"}},
		"file and folder":  {in: []string{"a/b", "a"}, says: []string{`"a"`, `"a/b"`, "folder"}},
		"deep folder":      {in: []string{"a/b/c", "a/b", "a/a"}, says: []string{`"a/b"`}},
		"marker":           {why: "some programs mark folders by empty objects", in: []string{"0:a", "a/b", "0:a/c", "a/c/d"}, want: []string{"a/b", "a/c/d"}},
		"empty file":       {in: []string{"0:a", "0:b"}, want: []string{"a", "b"}},
		"like a folder":    {in: []string{"a.b", "a/b", "a-b"}, want: []string{"a/b", "a-b", "a.b"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var listed []objects.Object
			for _, key := range tc.in {
				bare, empty := strings.CutPrefix(key, "0:")
				o := objects.Object{Key: bare, ETag: "e", Size: 3}
				if empty {
					o.Size = 0
				}
				listed = append(listed, o)
			}
			var files []source.IgnoreFile
			if tc.file != "" {
				files = []source.IgnoreFile{{Content: []byte(tc.file)}}
			}
			x, err := newIndex(listed, source.Ignored(files, tc.ignore))
			if len(tc.says) > 0 {
				if err == nil {
					t.Fatalf("no error (%s)", tc.why)
				}
				for _, what := range tc.says {
					if !strings.Contains(err.Error(), what) {
						t.Errorf("%q does not say %q", err, what)
					}
				}
				return
			}
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if diff := cmp.Diff(tc.want, keysOf(x)); diff != "" {
				t.Errorf("objects (-want +got):\n%s%s", diff, tc.why)
			}
		})
	}
}

func TestNewIndexNeedsETags(t *testing.T) {
	t.Parallel()
	for _, etag := range []string{"", "a\nb", strings.Repeat("a", 1025)} {
		_, err := newIndex([]objects.Object{{Key: "a", ETag: etag}}, source.Ignored(nil, nil))
		if err == nil || !strings.Contains(err.Error(), "ETag") {
			t.Errorf("an ETag of %d bytes: %v; want an error that names it", len(etag), err)
		}
	}
}

// TestRevision: the form is that of the API, which users may have recorded.
func TestRevision(t *testing.T) {
	t.Parallel()
	x := index{"b.yaml": {Key: "b.yaml", ETag: "2"}, "a/c.yaml": {Key: "a/c.yaml", ETag: "3"}, "a.yaml": {Key: "a.yaml", ETag: "1"}}
	// printf 'a.yaml 1\na/c.yaml 3\nb.yaml 2\n' | sha256sum
	const want = "sha256:2689d2ed3658dbc0b6564095dfcbf0f618dbbbc444e1f5926754ce81f9907fec"
	if got := x.revision(); got != want {
		t.Errorf("revision() = %s; want %s", got, want)
	}
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if got := (index{}).revision(); got != empty {
		t.Errorf("revision() of nothing = %s; want %s", got, empty)
	}
}

func TestExceeds(t *testing.T) {
	t.Parallel()
	const huge = 1<<63 - 1
	tests := map[string]struct {
		why   string
		sizes []int64
		want  bool
	}{
		"nothing":     {},
		"the limit":   {sizes: []int64{60, 40}},
		"above":       {sizes: []int64{60, 41}, want: true},
		"unknown":     {why: "what is not told is limited when it comes", sizes: []int64{-1, 100}},
		"overflowing": {why: "a server may lie", sizes: []int64{huge, huge, 2}, want: true},
	}
	for name, tc := range tests {
		x := make(index)
		for i, size := range tc.sizes {
			x[fmt.Sprint(i)] = objects.Object{Size: size}
		}
		if got := x.exceeds(100); got != tc.want {
			t.Errorf("%s: %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}
