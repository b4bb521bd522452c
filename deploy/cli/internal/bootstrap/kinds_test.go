package bootstrap_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/pkg/pullrequest"
)

// early has asked what kinds there are before those of the toolkit were defined, and
// remembers the answer until it is told to forget it.
type early struct {
	client.WithWatch
	anew atomic.Bool
}

func (e *early) RESTMapper() meta.RESTMapper { return &remembered{e.WithWatch.RESTMapper(), &e.anew} }

func (e *early) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	gvk, err := apiutil.GVKForObject(obj, e.Scheme())
	if err != nil {
		return err
	}
	if strings.HasSuffix(gvk.Group, ".toolkit.fluxcd.io") && !e.anew.Load() {
		return &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
	}
	return e.WithWatch.Get(ctx, key, obj, opts...)
}

// remembered is what early remembers.
type remembered struct {
	meta.RESTMapper
	anew *atomic.Bool
}

func (r *remembered) Reset() { r.anew.Store(true) }

// TestKindsThatAreNew: the first look at an empty cluster finds no kinds of the toolkit,
// which does not count any more once they are applied.
func TestKindsThatAreNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.must(func(b *bootstrap.Bootstrap) { b.Client = &early{WithWatch: b.Client} })
	w.whole()
}
