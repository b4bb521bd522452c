package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Blob reads a layer. The reader returns an error in place of the end if the content is
// not what the descriptor says, so nothing that was read may be relied on before the
// end. A layer above a limit is refused before it is asked for; a negative limit is none.
func (s *Session) Blob(ctx context.Context, desc v1.Descriptor, limit int64) (io.ReadCloser, error) {
	if desc.Digest.Algorithm != "sha256" || desc.Size < 0 {
		return nil, fmt.Errorf("%w: the layer has no sha256 digest, or no size", ErrCorrupt)
	}
	if limit >= 0 && desc.Size > limit {
		return nil, fmt.Errorf("%w: the layer has %d bytes, and the limit is %d", ErrTooLarge, desc.Size, limit)
	}
	res, err := s.ask(ctx, http.MethodGet, s.url("blobs", desc.Digest.String()), "")
	if err != nil {
		return nil, err
	}
	if res.ContentLength >= 0 && res.ContentLength != desc.Size {
		res.Body.Close()
		return nil, fmt.Errorf("%w: the layer has %d bytes, not %d", ErrCorrupt, res.ContentLength, desc.Size)
	}
	return &checkedReader{ctx: ctx, body: res.Body, hash: sha256.New(), desc: desc}, nil
}

// checkedReader passes on a body, and its end only if it was the right one.
type checkedReader struct {
	ctx  context.Context
	body io.ReadCloser
	hash hash.Hash
	desc v1.Descriptor
	n    int64
	err  error
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.body.Read(p)
	c.n += int64(n)
	c.hash.Write(p[:n])
	switch {
	case c.n > c.desc.Size:
		n, c.err = 0, fmt.Errorf("%w: the layer has more than %d bytes", ErrCorrupt, c.desc.Size)
	case errors.Is(err, io.EOF):
		c.err = c.end()
	case err != nil:
		c.err = fmt.Errorf("reading the layer: %w", explain(c.ctx, err, false))
	}
	return n, c.err
}

func (c *checkedReader) end() error {
	if c.n != c.desc.Size {
		return fmt.Errorf("%w: the layer ends after %d of %d bytes", ErrCorrupt, c.n, c.desc.Size)
	}
	if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.desc.Digest.Hex {
		return fmt.Errorf("%w: the layer has the digest sha256:%s, not %s", ErrCorrupt, got, c.desc.Digest)
	}
	return io.EOF
}

func (c *checkedReader) Close() error { return c.body.Close() }
