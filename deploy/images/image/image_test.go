package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"weir.dev/deploy/images/image"
	"weir.dev/deploy/install"
	"weir.dev/pkg/testplane"
)

// program is a controller of the tests: as long as it is a program, its content is nobody's
// concern.
const program = "some-controller"

// folder returns one that has a program for a machine, by the number that ELF has for it.
func folder(t *testing.T, machine uint16, dynamic bool) string {
	t.Helper()
	var elf bytes.Buffer
	elf.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	segments := uint16(0)
	if dynamic {
		segments = 1
	}
	for _, field := range []any{
		uint16(2), machine, uint32(1), uint64(0), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), segments, uint16(64), uint16(0), uint16(0),
	} {
		_ = binary.Write(&elf, binary.LittleEndian, field) // a buffer takes all
	}
	if dynamic {
		for _, field := range []any{uint32(3), uint32(4), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(1)} {
			_ = binary.Write(&elf, binary.LittleEndian, field)
		}
	}
	return folderOf(t, elf.Bytes())
}

func folderOf(t *testing.T, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, program), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	amd64 = 62
	arm64 = 183
	riscv = 243
)

func build(t *testing.T, o image.Options) image.Image {
	t.Helper()
	i, err := image.Build(o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func digest(t *testing.T, o image.Options) string {
	t.Helper()
	d, err := build(t, o).Index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func authorities(t *testing.T) []byte {
	t.Helper()
	data, err := image.Authorities("")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// newRegistry starts one and returns its address.
func newRegistry(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://") + "/weir"
}

// pulled returns the image for this machine that a registry has.
func pulled(t *testing.T, reference string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestPushedImageRuns pushes a controller as it is built, reads it back, and runs what is
// in it.
func TestPushedImageRuns(t *testing.T) {
	t.Parallel()
	certificates := authorities(t)
	made := build(t, image.Options{Name: install.SourceController, Version: "v1.2.3", Folders: []string{filepath.Join(testplane.Root(t), "bin")}, Authorities: certificates})
	reference, err := made.Push(t.Context(), newRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	want, err := made.Index.Digest()
	if err != nil || !strings.HasSuffix(reference, "/weir/source-controller:v1.2.3@"+want.String()) {
		t.Errorf("pushed %s, %v; want digest %s", reference, err, want)
	}
	img := pulled(t, strings.Split(reference, "@")[0])
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	wantConfig := v1.Config{
		User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/usr/local/bin/source-controller"},
		Env: []string{"PATH=/usr/local/bin", "HOME=/tmp"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "source-controller", "org.opencontainers.image.version": "v1.2.3",
			"org.opencontainers.image.vendor": "weir", "org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	if diff := cmp.Diff(wantConfig, cfg.Config); diff != "" || len(cfg.RootFS.DiffIDs) != 2 || cfg.OS != "linux" || cfg.Architecture != runtime.GOARCH {
		t.Errorf("for %s/%s, with %d layers; configuration (-want +got):\n%s", cfg.OS, cfg.Architecture, len(cfg.RootFS.DiffIDs), diff)
	}
	path, files := unpack(t, img, "usr/local/bin/source-controller", certificates)
	wantFiles := map[string]string{
		"data": "drwxr-xr-x 65532:65532", "tmp": "dtrwxrwxrwx 0:0",
		"etc": "drwxr-xr-x 0:0", "etc/passwd": "-rw-r--r-- 0:0", "etc/group": "-rw-r--r-- 0:0",
		"etc/ssl": "drwxr-xr-x 0:0", "etc/ssl/certs": "drwxr-xr-x 0:0", "etc/ssl/certs/ca-certificates.crt": "-rw-r--r-- 0:0",
		"usr": "drwxr-xr-x 0:0", "usr/local": "drwxr-xr-x 0:0", "usr/local/bin": "drwxr-xr-x 0:0",
		"usr/local/bin/source-controller": "-rwxr-xr-x 0:0",
	}
	if diff := cmp.Diff(wantFiles, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	out, err := exec.CommandContext(t.Context(), path, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--storage-path") {
		t.Errorf("the program in the image says %q, %v", out, err)
	}
}

// unpack writes the program of an image into a folder, and returns its path, and what else
// there is. The certificates must be those that were given.
func unpack(t *testing.T, img v1.Image, program string, certificates []byte) (path string, files map[string]string) {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	files = make(map[string]string)
	path = filepath.Join(t.TempDir(), "program")
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return path, files
		}
		if err != nil {
			t.Fatal(err)
		}
		file := strings.TrimSuffix(h.Name, "/")
		files[file] = fmt.Sprintf("%s %d:%d", h.FileInfo().Mode(), h.Uid, h.Gid)
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		switch file {
		case program:
			if err := os.WriteFile(path, content, 0o700); err != nil {
				t.Fatal(err)
			}
		case "etc/ssl/certs/ca-certificates.crt":
			if !bytes.Equal(content, certificates) {
				t.Errorf("the certificates are others: %d bytes; want %d", len(content), len(certificates))
			}
		}
	}
}

func TestSameFilesSameImage(t *testing.T) {
	t.Parallel()
	certificates := authorities(t)
	first := image.Options{Name: program, Version: "v1", Folders: []string{folder(t, amd64, false), folder(t, arm64, false)}, Authorities: certificates}
	again := first
	again.Folders = []string{folder(t, amd64, false), folder(t, arm64, false)}
	if a, b := digest(t, first), digest(t, again); a != b {
		t.Errorf("the same programs make %s and %s", a, b)
	}
	others := map[string]func(*image.Options){
		"another version":     func(o *image.Options) { o.Version = "v2" },
		"other certificates":  func(o *image.Options) { o.Authorities = append([]byte("# more\n"), certificates...) },
		"fewer architectures": func(o *image.Options) { o.Folders = o.Folders[:1] },
		"another program in one": func(o *image.Options) {
			o.Folders = []string{o.Folders[0] + "", folderOf(t, append(read(t, o.Folders[1]), 0))}
		},
	}
	for what, change := range others {
		o := first
		change(&o)
		if digest(t, o) == digest(t, first) {
			t.Errorf("%s makes the same image", what)
		}
	}
}

func read(t *testing.T, folder string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, program))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOneImageForAllArchitectures(t *testing.T) {
	t.Parallel()
	made := build(t, image.Options{Name: program, Version: "v1", Folders: []string{folder(t, amd64, false), folder(t, arm64, false)}})
	index, err := made.Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range index.Manifests {
		platforms = append(platforms, m.Platform.String())
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		folders []string
		says    string
	}{
		"what is not built":            {folders: []string{t.TempDir()}, says: "run `make build` first"},
		"what is no program":           {folders: []string{folderOf(t, []byte("#!/bin/sh\n"))}, says: "no program for Linux"},
		"what needs a linker":          {folders: []string{folder(t, amd64, true)}, says: "CGO_ENABLED=0"},
		"an architecture without Pods": {folders: []string{folder(t, riscv, false)}, says: "no images are made"},
		"one architecture twice":       {folders: []string{folder(t, amd64, false), folder(t, amd64, false)}, says: "as that of another folder"},
	}
	for what, tc := range tests {
		_, err := image.Build(image.Options{Name: program, Version: "v1", Folders: tc.folders})
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the error is %v; want it to say %q", what, err, tc.says)
		}
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "none.pem")
	if _, err := image.Authorities(file); err == nil || !strings.Contains(err.Error(), "-ca-certificates") {
		t.Errorf("of no file: %v", err)
	}
	if err := os.WriteFile(file, []byte("no certificates"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := image.Authorities(file); err == nil || !strings.Contains(err.Error(), "has no certificates") {
		t.Errorf("of a file without any: %v", err)
	}
}

func TestLayoutReadsBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "images")
	made := build(t, image.Options{Name: program, Version: "v1", Folders: []string{folder(t, amd64, false)}})
	other := build(t, image.Options{Name: program, Version: "v2", Folders: []string{folder(t, amd64, false)}})
	for _, images := range [][]image.Image{{made, other}, {made}} { // the second in place of the first
		if err := image.WriteLayout(dir, images); err != nil {
			t.Fatal(err)
		}
		index, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		read, err := index.IndexManifest()
		if err != nil || len(read.Manifests) != len(images) {
			t.Fatalf("the layout has %v, %v; want %d images", read, err, len(images))
		}
		for n, i := range images {
			want, err := i.Index.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if got := read.Manifests[n]; got.Digest != want || got.Annotations["org.opencontainers.image.ref.name"] != program+":"+i.Version {
				t.Errorf("the layout has %s as %v; want %s", got.Digest, got.Annotations, want)
			}
		}
	}
	precious := t.TempDir()
	if err := os.WriteFile(filepath.Join(precious, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := image.WriteLayout(precious, []image.Image{made}); err == nil || !strings.Contains(err.Error(), "no image layout") {
		t.Errorf("a folder of something else: %v; want it to be left alone", err)
	}
}

// TestDockerfiles: who builds with a container engine gets the same.
func TestDockerfiles(t *testing.T) {
	t.Parallel()
	for _, controller := range install.All() {
		data, err := os.ReadFile(filepath.Join(testplane.Root(t), controller, "Dockerfile"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, last, _ := strings.Cut(string(data), "FROM scratch\n")
		cfg, err := config(t, controller)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"USER " + cfg.User + "\n", "WORKDIR " + cfg.WorkingDir + "\n", "ENTRYPOINT [\"" + cfg.Entrypoint[0] + "\"]\n",
			"ENV " + strings.Join(cfg.Env, " ") + "\n", "ARG VERSION=" + install.Version + "\n", "COPY --from=build /out /\n",
		}
		for label, value := range cfg.Labels {
			if strings.HasSuffix(label, ".version") {
				value = "$VERSION"
			}
			want = append(want, label+"="+value)
		}
		for _, line := range want {
			if !strings.Contains(last, line) {
				t.Errorf("%s/Dockerfile does not say %q", controller, line)
			}
		}
		for _, part := range []string{"CGO_ENABLED=0", "/out" + cfg.Entrypoint[0], "install -d -m 1777 /out/tmp", "install -d -o 65532 -g 65532 /out/data", "/out/etc/ssl/certs"} {
			if !strings.Contains(string(data), part) {
				t.Errorf("%s/Dockerfile does not say %q", controller, part)
			}
		}
	}
}

// config is that of the image of a program of the tests, under the name of a controller.
func config(t *testing.T, controller string) (v1.Config, error) {
	t.Helper()
	dir := folder(t, amd64, false)
	if err := os.Rename(filepath.Join(dir, program), filepath.Join(dir, controller)); err != nil {
		t.Fatal(err)
	}
	made := build(t, image.Options{Name: controller, Version: install.Version, Folders: []string{dir}})
	index, err := made.Index.IndexManifest()
	if err != nil {
		return v1.Config{}, err
	}
	img, err := made.Index.Image(index.Manifests[0].Digest)
	if err != nil {
		return v1.Config{}, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return v1.Config{}, err
	}
	return cfg.Config, nil
}
