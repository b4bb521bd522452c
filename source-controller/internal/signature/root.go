package signature

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
)

const (
	// rootFresh is how long what the public instance vouches for is used before it is
	// looked whether that has changed.
	rootFresh = 24 * time.Hour
	// rootRetry is how long it is not asked again after it has failed to answer.
	rootRetry = time.Minute
)

// publicRoot is what the public Sigstore instance vouches for, fetched when it is first
// needed.
type publicRoot struct {
	fetch func(ctx context.Context) (root.TrustedMaterial, error)
	now   func() time.Time

	mu      sync.Mutex
	root    root.TrustedMaterial // the last that could be fetched
	err     error                // of the last attempt
	fetched time.Time            // when that was; zero before the first
}

func newPublicRoot(fetch func(ctx context.Context) (root.TrustedMaterial, error)) *publicRoot {
	return &publicRoot{fetch: fetch, now: time.Now}
}

// get returns the root. While the instance cannot be reached, the last one does.
func (p *publicRoot) get(ctx context.Context) (root.TrustedMaterial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := rootFresh
	if p.err != nil {
		wait = rootRetry
	}
	if p.fetched.IsZero() || p.now().Sub(p.fetched) >= wait {
		fetched, err := p.fetch(ctx)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx) // which says nothing of the instance
		}
		p.fetched, p.err = p.now(), err
		if err == nil {
			p.root = fetched
		}
	}
	if p.root == nil {
		return nil, fmt.Errorf("fetching the trusted root of Sigstore: %w", p.err)
	}
	return p.root, nil
}

// fetchPublicRoot returns what fetches the root, and keeps in a folder what proves that
// it is the right one.
func fetchPublicRoot(dir string) func(ctx context.Context) (root.TrustedMaterial, error) {
	return func(ctx context.Context) (root.TrustedMaterial, error) {
		opts := tuf.DefaultOptions().WithContext(ctx)
		if dir == "" {
			opts = opts.WithDisableLocalCache()
		} else {
			opts = opts.WithCachePath(dir)
		}
		return root.FetchTrustedRootWithOptions(opts)
	}
}
