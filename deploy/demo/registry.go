package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
)

// Objects that follow the releases in a registry instead of a branch.
const ociObjects = `apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: releases, namespace: flux-system}
spec: {interval: 1m, url: "oci://HOST/my-app", insecure: true, ref: {semver: "1.x"}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: releases, namespace: flux-system}
spec: {interval: 10m, path: ./, prune: true, sourceRef: {kind: OCIRepository, name: releases}}
`

// content is the media type of manifests in a registry.
const content types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"

// startRegistry serves an empty registry until the demo ends.
func (w *world) startRegistry(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.registry = l.Addr().String()
	s := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }() // a step that needs it fails, and says so
	return nil
}

// release pushes manifests to the registry under a version.
func (w *world) release(ctx context.Context, version string) error {
	var layer bytes.Buffer
	a := archive.NewWriter(&layer, archive.Limits{})
	manifest := strings.ReplaceAll("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: release, namespace: my-app}\ndata: {version: VERSION}\n", "VERSION", version)
	err := errors.Join(a.File("release.yaml", false, int64(len(manifest)), strings.NewReader(manifest)), a.Close())
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), content))
	if err != nil {
		return err
	}
	annotated, ok := mutate.Annotations(image, map[string]string{
		"org.opencontainers.image.source": w.gitURL, "org.opencontainers.image.revision": "v" + version,
	}).(v1.Image)
	if !ok {
		return errors.New("annotating an image made something else of it")
	}
	ref, err := name.ParseReference(w.registry+"/my-app:"+version, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(ref, annotated, remote.WithContext(ctx))
}

// followReleases applies objects that follow a range of versions in the registry.
func (s *story) followReleases(ctx context.Context) (string, error) {
	if err := s.release(ctx, "1.0.0"); err != nil {
		return "", err
	}
	for text := range strings.SplitSeq(strings.ReplaceAll(ociObjects, "HOST", s.registry), "---\n") {
		obj, err := decode(text)
		if err != nil {
			return "", err
		}
		if err := s.Client.Create(ctx, obj); err != nil {
			return "", err
		}
	}
	return s.released(ctx, "1.0.0")
}

// nextRelease pushes a version in the range, and one that is not.
func (s *story) nextRelease(ctx context.Context) (string, error) {
	for _, version := range []string{"2.0.0", "1.1.0"} {
		if err := s.release(ctx, version); err != nil {
			return "", err
		}
	}
	if err := s.ask(ctx, releases()); err != nil {
		return "", err
	}
	return s.released(ctx, "1.1.0")
}

// released waits until a version is live, and returns the revision that it came by.
func (s *story) released(ctx context.Context, version string) (string, error) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: appSpace, Name: "release"}}
	if err := s.Until(ctx, cm, func() bool { return cm.Data["version"] == version }); err != nil {
		return "", err
	}
	repo := releases()
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(repo), repo); err != nil {
		return "", err
	}
	return repo.Status.Artifact.Revision, nil
}

func releases() *sourcev1.OCIRepository {
	return &sourcev1.OCIRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "releases"}}
}
