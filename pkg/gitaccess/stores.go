package gitaccess

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
)

const (
	// storeIdle is how long the object store of a remote is kept unused.
	storeIdle = 24 * time.Hour
	// sweepEvery is how often unused object stores are looked for.
	sweepEvery = time.Hour
)

// Sweep removes object stores of remotes that nobody has used for a day, now and again,
// until ctx ends.
func Sweep(ctx context.Context, stores *git.Stores) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			n, err := stores.Sweep(now.Add(-storeIdle))
			if err != nil {
				log.FromContext(ctx).Error(err, "removing unused object stores")
			}
			if n > 0 {
				log.FromContext(ctx).Info("removed unused object stores", "stores", n)
			}
		}
	}
}

// Reference is a reference of the API, which may be nil, in the terms of package git.
func Reference(ref *sourcev1.GitRepositoryRef) git.Reference {
	if ref == nil {
		return git.Reference{}
	}
	return git.Reference{Branch: ref.Branch, Tag: ref.Tag, SemVer: ref.SemVer, Name: ref.Name, Commit: ref.Commit}
}
