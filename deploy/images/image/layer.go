package image

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	user = 65532
	// maxAuthorities bounds the file of certificates; there are some 200 kB of them.
	maxAuthorities = 4 << 20
)

// Files of accounts, which some libraries look into.
const (
	passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// authorityFiles are where systems have the certificates of authorities.
var authorityFiles = []string{
	CertificatesFile,
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// Authorities reads the certificates that programs are to trust: from a file, or that of
// this machine.
func Authorities(file string) ([]byte, error) {
	files := []string{file}
	if file == "" {
		files = authorityFiles
	}
	for _, file := range files {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxAuthorities+1))
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if len(data) > maxAuthorities || !x509.NewCertPool().AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s has no certificates, or more than %d bytes", file, maxAuthorities)
		}
		return data, nil
	}
	return nil, fmt.Errorf("no certificates of authorities in %q: name a file by -ca-certificates", files)
}

// baseLayer is what programs expect around them.
func baseLayer(authorities []byte) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	file := func(name string, content []byte) error {
		return write(w, &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, bytes.NewReader(content))
	}
	folder := func(name string, mode int64, owner int) error {
		return write(w, &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, Uid: owner, Gid: owner}, nil)
	}
	err := errors.Join(
		folder("data/", 0o755, user),
		folder("etc/", 0o755, 0),
		file("etc/group", []byte(group)),
		file("etc/passwd", []byte(passwd)),
		folder("etc/ssl/", 0o755, 0),
		folder("etc/ssl/certs/", 0o755, 0),
		file(CertificatesFile[1:], authorities),
		folder("tmp/", 0o1777, 0),
		w.Close(),
	)
	if err != nil {
		return nil, err
	}
	return layer(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
}

// programLayer has a program, under a name.
func programLayer(path, name string) (v1.Layer, error) {
	return layer(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeProgram(w, path, name)) }()
		return r, nil
	})
}

// layer is an OCI layer of an archive.
func layer(open tarball.Opener) (v1.Layer, error) {
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

func writeProgram(out io.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	for _, parent := range []string{"usr/", "usr/local/", filepath.Dir(name) + "/"} {
		if err := write(w, &tar.Header{Typeflag: tar.TypeDir, Name: parent, Mode: 0o755}, nil); err != nil {
			return err
		}
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: info.Size()}
	return errors.Join(write(w, header, f), w.Close())
}

// write adds an entry to an archive. It has no time, so that images are the same whenever
// they are made.
func write(w *tar.Writer, header *tar.Header, content io.Reader) error {
	header.Format = tar.FormatUSTAR
	if err := w.WriteHeader(header); err != nil || content == nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}
