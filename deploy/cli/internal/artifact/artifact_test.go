package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"weir.dev/deploy/cli/internal/artifact"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/oci"
)

const (
	source   = "https://example.com/fleet.git"
	revision = "main@sha1:d8b0ddf78e06af0e72991ba2f1c2016a300d5886"
)

// start starts a registry and returns the URL of a repository in it.
func start(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return oci.Scheme + strings.TrimPrefix(s.URL, "http://") + "/fleet"
}

// folder makes a folder of files. One whose name ends with an exclamation mark can be executed.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range files {
		path, executable := strings.CutSuffix(path, "!")
		at := filepath.Join(dir, path)
		mode := fs.FileMode(0o644)
		if executable {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listed returns the files of an archive.
func listed(t *testing.T, packed []byte) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := archive.Read(bytes.NewReader(packed), archive.Limits{}, func(e archive.Entry, content io.Reader) error {
		if e.Dir {
			return nil
		}
		data, err := io.ReadAll(content)
		path := e.Path
		if e.Executable {
			path += "!"
		}
		out[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBuild(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a.yaml": "a", "b/c.yaml": "c", "b.yaml": "b", "run.sh!": "run", ".git/config": "git", "logo.png": "png", "skip/d.yaml": "d", "skip/e.txt": "e"}
	tests := map[string]struct {
		why    string
		ignore []string
		want   map[string]string
	}{
		"by default": {
			why: "what Git needs and pictures are not for a cluster", ignore: artifact.IgnoredByDefault(),
			want: map[string]string{"a.yaml": "a", "b/c.yaml": "c", "b.yaml": "b", "run.sh!": "run", "skip/d.yaml": "d", "skip/e.txt": "e"},
		},
		"patterns": {
			why: "the last one that matches counts", ignore: []string{"# comment", "", "/*", "!/skip", "*.txt"},
			want: map[string]string{"skip/d.yaml": "d"},
		},
		"nothing ignored": {why: "all was asked for", want: files},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var once, again bytes.Buffer
			for _, dst := range []*bytes.Buffer{&once, &again} {
				if err := artifact.Build(dst, artifact.Content{Path: folder(t, files), Ignore: tc.ignore}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, listed(t, once.Bytes())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			if !bytes.Equal(once.Bytes(), again.Bytes()) {
				t.Error("the same files make other bytes")
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why     string
		content artifact.Content
		want    error
	}{
		"an empty folder": {why: "it would delete all that is in the cluster", content: artifact.Content{Path: t.TempDir()}, want: artifact.ErrEmpty},
		"all ignored":     {why: "so would that", content: artifact.Content{Path: folder(t, map[string]string{"a.yaml": "a"}), Ignore: []string{"*"}}, want: artifact.ErrEmpty},
		"an empty pipe":   {why: "what should write to it has failed", content: artifact.Content{Stdin: strings.NewReader("")}, want: artifact.ErrEmpty},
		"no folder":       {why: "a name is wrong", content: artifact.Content{Path: filepath.Join(t.TempDir(), "none")}, want: fs.ErrNotExist},
		"too much": {
			why:     "there is a limit",
			content: artifact.Content{Path: folder(t, map[string]string{"a.yaml": "too much"}), Limits: archive.Limits{MaxUnpacked: 4}}, want: archive.ErrTooLarge,
		},
		"too much piped in": {
			why:     "it does not end by itself",
			content: artifact.Content{Stdin: strings.NewReader("too much"), Limits: archive.Limits{MaxUnpacked: 4}}, want: archive.ErrTooLarge,
		},
	}
	for name, tc := range tests {
		if err := artifact.Build(io.Discard, tc.content); !errors.Is(err, tc.want) {
			t.Errorf("%s: Build = %v, want %v (%s)", name, err, tc.want, tc.why)
		}
	}
}

func TestBuildLinks(t *testing.T) {
	t.Parallel()
	outside := folder(t, map[string]string{"secret": "s3cret"})
	tests := map[string]struct {
		why, link, target string
		want              map[string]string // nil: it is refused
	}{
		"to a file":        {why: "its content is meant", link: "link.yaml", target: "a.yaml", want: map[string]string{"a.yaml": "a", "b/c.yaml": "c", "link.yaml": "a"}},
		"to a folder":      {why: "so are its files", link: "link", target: "b", want: map[string]string{"a.yaml": "a", "b/c.yaml": "c", "link/c.yaml": "c"}},
		"out of it":        {why: "others would read what is there", link: "link", target: filepath.Join(outside, "secret")},
		"nowhere":          {why: "something is missing", link: "link", target: "none"},
		"to what it is in": {why: "that would not end", link: "b/link", target: ".."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"a.yaml": "a", "b/c.yaml": "c"})
			if err := os.Symlink(tc.target, filepath.Join(dir, tc.link)); err != nil {
				t.Fatal(err)
			}
			var packed bytes.Buffer
			var omitted []string
			if err := artifact.Build(&packed, artifact.Content{Path: dir, Omitted: func(path string) { omitted = append(omitted, path) }}); err != nil {
				t.Fatal(err)
			}
			if len(omitted) != 1 || omitted[0] != tc.link {
				t.Errorf("%v are said to be left out, want %s", omitted, tc.link)
			}
			if diff := cmp.Diff(map[string]string{"a.yaml": "a", "b/c.yaml": "c"}, listed(t, packed.Bytes())); diff != "" {
				t.Errorf("without following (-want +got):\n%s", diff)
			}
			packed.Reset()
			err := artifact.Build(&packed, artifact.Content{Path: dir, Follow: true})
			if (err != nil) != (tc.want == nil) {
				t.Fatalf("Build = %v (%s)", err, tc.why)
			}
			if tc.want == nil {
				return
			}
			if diff := cmp.Diff(tc.want, listed(t, packed.Bytes())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func TestPushIsWhatFluxPushes(t *testing.T) {
	t.Parallel()
	url := start(t)
	r := artifact.New(artifact.Access{Credentials: creds.Hide("ann:s3cret")})
	content := artifact.Content{Path: folder(t, map[string]string{"a.yaml": "a"})}
	pushed, err := r.Push(t.Context(), url+":v1", content, artifact.Metadata{
		Source: source, Revision: revision, Created: time.Unix(0, 0), Annotations: map[string]string{"team": "shop"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(pushed.URL, oci.Scheme))
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{string(manifest.MediaType), string(manifest.Config.MediaType), string(manifest.Layers[0].MediaType), pushed.Tag, pushed.Repository}
	want := []string{
		"application/vnd.oci.image.manifest.v1+json", "application/vnd.cncf.flux.config.v1+json", "application/vnd.cncf.flux.content.v1.tar+gzip",
		"v1", strings.TrimPrefix(url, oci.Scheme),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	annotations := map[string]string{
		"org.opencontainers.image.source": source, "org.opencontainers.image.revision": revision,
		"org.opencontainers.image.created": "1970-01-01T00:00:00Z", "team": "shop",
	}
	if diff := cmp.Diff(annotations, manifest.Annotations); diff != "" {
		t.Error(diff)
	}
	again, err := r.Push(t.Context(), url+":v2", content, artifact.Metadata{Source: source, Revision: revision, Created: time.Unix(0, 0), Annotations: map[string]string{"team": "shop"}})
	if err != nil || again.Digest != pushed.Digest {
		t.Errorf("the same pushed again is %s, %v; want %s", again.Digest, err, pushed.Digest)
	}
	if _, err := r.Push(t.Context(), url+"@"+pushed.Digest, content, artifact.Metadata{}); !errors.Is(err, artifact.ErrURL) {
		t.Errorf("pushing to a digest: %v", err)
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	url := start(t)
	r := artifact.New(artifact.Access{Credentials: creds.Hide("ann:s3cret")})
	files := map[string]string{"a.yaml": "a", "b/c.sh!": "c"}
	pushed, err := r.Push(t.Context(), url+":v1", artifact.Content{Path: folder(t, files)}, artifact.Metadata{Source: source, Revision: revision})
	if err != nil {
		t.Fatal(err)
	}
	into := folder(t, map[string]string{"a.yaml": "something longer that was there"})
	pulled, err := r.Pull(t.Context(), url+":v1", into, archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pushed.Tag = "v1"
	if diff := cmp.Diff(pushed, pulled); diff != "" {
		t.Errorf("what is told (-pushed +pulled):\n%s", diff)
	}
	if got, err := os.ReadFile(filepath.Join(into, "a.yaml")); err != nil || string(got) != "a" {
		t.Errorf("a.yaml is %q, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(into, "b/c.sh")); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("b/c.sh cannot be executed: %v, %v", info, err)
	}
	if _, err := r.Pull(t.Context(), url+":v1", t.TempDir(), archive.Limits{MaxUnpacked: 1}); !errors.Is(err, archive.ErrTooLarge) {
		t.Errorf("more than the limit: %v", err)
	}
	if _, err := r.Pull(t.Context(), url+":v2", t.TempDir(), archive.Limits{}); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("what there is not: %v", err)
	}
}

// TestPullStaysInTheFolder: neither the artifact nor a link of the folder leads out of it.
func TestPullStaysInTheFolder(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"a path that goes up": "../evil", "a link that goes out": "link/evil"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t)
			put(t, url+":v1", map[string]string{path: "evil"})
			outer := t.TempDir()
			into := filepath.Join(outer, "into")
			if err := errors.Join(os.Mkdir(into, 0o755), os.Symlink(outer, filepath.Join(into, "link"))); err != nil {
				t.Fatal(err)
			}
			if _, err := artifact.New(artifact.Access{Credentials: creds.Hide("ann:s3cret")}).Pull(t.Context(), url+":v1", into, archive.Limits{}); err == nil {
				t.Error("it is pulled")
			}
			if _, err := os.Stat(filepath.Join(outer, "evil")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was written outside: %v", err)
			}
		})
	}
}

// put makes an artifact of any paths.
func put(t *testing.T, url string, files map[string]string) {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	out := tar.NewWriter(zip)
	for path, content := range files {
		err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o600, Size: int64(len(content))})
		if _, more := io.WriteString(out, content); errors.Join(err, more) != nil {
			t.Fatal(err, more)
		}
	}
	if err := errors.Join(out.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(packed.Bytes(), artifact.ContentType))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(url, oci.Scheme))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	url := start(t)
	r := artifact.New(artifact.Access{Credentials: creds.Hide("ann:s3cret")})
	put(t, url+":v1", map[string]string{"a.yaml": "a", "gone.yaml": "g", "same.yaml": "s"}) // packed by another program
	got, err := r.Diff(t.Context(), url+":v1", artifact.Content{Path: folder(t, map[string]string{"a.yaml": "b", "new.yaml": "n", "same.yaml": "s"})})
	if err != nil {
		t.Fatal(err)
	}
	want := []artifact.Difference{{Path: "a.yaml", Here: true, There: true}, {Path: "gone.yaml", There: true}, {Path: "new.yaml", Here: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestListReadsEachArtifactOnce: most tags are further ones of what others lead to.
func TestListReadsEachArtifactOnce(t *testing.T) {
	t.Parallel()
	var reads atomic.Int32
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			reads.Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	url := oci.Scheme + strings.TrimPrefix(s.URL, "http://") + "/fleet"
	r := artifact.New(artifact.Access{Credentials: creds.Hide("ann:s3cret")})
	put(t, url+":v0", map[string]string{"a.yaml": "a"})
	put(t, url+":v1", map[string]string{"a.yaml": "b"})
	if _, err := r.Tag(t.Context(), url+":v1", []string{"v2", "v3", "v4"}); err != nil {
		t.Fatal(err)
	}
	reads.Store(0)
	all, err := r.List(t.Context(), url, artifact.Filter{})
	if err != nil || len(all) != 5 {
		t.Fatalf("List = %v, %v; want 5", all, err)
	}
	if got := reads.Load(); got != 2 {
		t.Errorf("%d manifests were read, and there are 2 artifacts", got)
	}
}

func TestTagAndList(t *testing.T) {
	t.Parallel()
	url := start(t)
	r := artifact.New(artifact.Access{Credentials: creds.Hide("ann:s3cret")})
	content := artifact.Content{Path: folder(t, map[string]string{"a.yaml": "a"})}
	pushed, err := r.Push(t.Context(), url+":v1.9.0", content, artifact.Metadata{Source: source, Revision: revision})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tag(t.Context(), url+":v1.9.0", []string{"v1.10.0", "latest"}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why    string
		filter artifact.Filter
		want   []string
	}{
		"all":           {why: "in the order of the alphabet", want: []string{"latest", "v1.10.0", "v1.9.0"}},
		"a range":       {why: "the highest first", filter: artifact.Filter{SemVer: ">=1.0.0"}, want: []string{"v1.10.0", "v1.9.0"}},
		"an expression": {why: "it need not match all of the tag", filter: artifact.Filter{Regexp: "9|lat"}, want: []string{"latest", "v1.9.0"}},
	}
	for name, tc := range tests {
		all, err := r.List(t.Context(), url, tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range all {
			got = append(got, a.Tag)
			if a.Digest != pushed.Digest || a.Source != source || a.Revision != revision {
				t.Errorf("%s: %+v is not what was pushed", name, a)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", name, tc.why, diff)
		}
	}
	for _, filter := range []artifact.Filter{{SemVer: "none"}, {Regexp: "("}} {
		if _, err := r.List(t.Context(), url, filter); !errors.Is(err, artifact.ErrFilter) {
			t.Errorf("List with the filter %+v: %v", filter, err)
		}
	}
	if _, err := r.Tag(t.Context(), url+":none", []string{"latest"}); !errors.Is(err, oci.ErrNotFound) {
		t.Errorf("tagging what there is not: %v", err)
	}
	if _, err := r.Tag(t.Context(), url+":v1.9.0", []string{"no tag"}); !errors.Is(err, artifact.ErrURL) {
		t.Errorf("a tag that is none: %v", err)
	}
}
