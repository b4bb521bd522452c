package helmrelease_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/charts"
	"weir.dev/helm-controller/internal/helmrelease"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/daemon"
)

// TestHundredReleasesOfOneChart: it is downloaded once, and read once.
func TestHundredReleasesOfOneChart(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t)
	files, err := fetch.New(charts.Limit(fetch.Options{Dir: t.TempDir()}))
	if err != nil {
		t.Fatal(err)
	}
	cache := charts.New(files, charts.Options{})
	artifact := w.publish(demo(t, "1.0.0"))
	var all []*helmv2.HelmRelease
	for n := range 100 {
		all = append(all, w.release(fmt.Sprintf("r-%d", n), values(fmt.Sprintf("k: v%d", n))))
	}
	w.Run(us, func(ctx context.Context, d *daemon.Daemon) error {
		d.Kinds = []client.Object{&helmv2.HelmRelease{}}
		if err := d.Parse(helmv2.AddToScheme, sourcev1.AddToScheme); err != nil {
			return err
		}
		return d.Start(ctx, helmrelease.New(cache, helmrelease.Options{
			RequeueDependency: 30 * time.Second, Digest: digest.Canonical, Apply: apply.Config{Wishes: apply.NoWishes},
		}))
	})
	for n, hr := range all {
		w.waitReleased(hr, 1)
		w.expectValue(hr.Name, fmt.Sprintf("v%d", n))
	}
	if got := cache.Stats(); got.Parses != 1 || got.Charts != 1 {
		t.Errorf("the cache has done %+v; want one chart, read once", got)
	}
	if n := w.charts.Downloads(artifact); n != 1 {
		t.Errorf("the chart was downloaded %d times; want once", n)
	}
}
