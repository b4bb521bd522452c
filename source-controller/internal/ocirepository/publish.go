package ocirepository

import (
	"context"
	"fmt"
	"io"

	sourcev1 "weir.dev/api/source/v1"
)

// latestName is the constant name of what is advertised.
const latestName = "latest.tar.gz"

// Annotations that say where the content of an artifact comes from.
const (
	annotationSource   = "org.opencontainers.image.source"
	annotationRevision = "org.opencontainers.image.revision"
)

// publish pulls the layer, makes of it what the spec says, and advertises that.
func (r *Reconciler) publish(ctx context.Context, s *scope) error {
	ctx, cancel := timeout(ctx, s.repo)
	defer cancel()
	body, err := s.session.Blob(ctx, s.layer, r.opts.MaxLayer)
	if err != nil {
		return s.notPulled(err)
	}
	defer body.Close()
	if selection(s.repo.Spec.LayerSelector).Operation == sourcev1.OCILayerCopy {
		err = r.copyLayer(s, body)
	} else {
		err = r.extractLayer(s, body)
	}
	if err != nil {
		return err
	}
	s.repo.Status.Artifact.Metadata = s.image.Annotations
	s.repo.Status.ObservedIgnore = s.repo.Spec.Ignore
	s.repo.Status.ObservedLayerSelector = s.repo.Spec.LayerSelector
	s.did.Stored = tale(s)
	return nil
}

// copyLayer stores the bytes of the layer.
func (r *Reconciler) copyLayer(s *scope, body io.Reader) error {
	var broken error // what ended the download early
	err := r.put(s, func(w io.Writer) error {
		_, err := io.Copy(w, readerFunc(func(p []byte) (int, error) {
			n, err := body.Read(p)
			if err != nil && err != io.EOF { // io.Reader promises EOF itself
				broken = err
			}
			return n, err
		}))
		return err
	})
	if broken != nil {
		return s.notPulled(broken)
	}
	return err
}

// extractLayer stores the files of the layer that are not ignored.
func (r *Reconciler) extractLayer(s *scope, body io.Reader) error {
	files, err := newSpool()
	if err != nil {
		return unusable(fmt.Errorf("failed to extract layer contents from artifact: %w", err))
	}
	defer files.close()
	limits := r.opts.Unpacked
	limits.MaxSize = r.opts.MaxLayer
	if err := files.fill(body, limits); err != nil {
		return unusable(fmt.Errorf("failed to extract layer contents from artifact: %w", err))
	}
	ignored, err := files.ignored(s.repo.Spec.Ignore)
	if err != nil {
		return err
	}
	return r.put(s, func(w io.Writer) error { return files.pack(w, ignored) })
}

// put stores what write writes as the artifact of the digest.
func (r *Reconciler) put(s *scope, write func(io.Writer) error) error {
	return r.shelf.Put(s.repo, s.digest.String()+".tar.gz", s.revision, write)
}

// link lets the constant name lead to what is advertised.
func (r *Reconciler) link(_ context.Context, s *scope) error {
	url, err := r.shelf.Link(s.repo, latestName)
	if err != nil {
		return err
	}
	s.repo.Status.URL = url
	return nil
}

// tale tells users of a new artifact.
func tale(s *scope) string {
	text := fmt.Sprintf("stored artifact with revision '%s' from '%s'", s.revision, s.repo.Spec.URL)
	origin, revision := s.image.Annotations[annotationSource], s.image.Annotations[annotationRevision]
	if origin == "" || revision == "" {
		return text
	}
	return text + fmt.Sprintf(", origin source '%s', origin revision '%s'", shortened(origin), shortened(revision))
}

func shortened(s string) string {
	const most = 1000
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
