// Package program is the kustomize-controller as a function of its command line,
// so that tests run what users run.
package program

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/kustomize-controller/internal/kustomization"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/daemon"
)

// externalArtifact is the feature of sources that another program publishes.
const externalArtifact = "ExternalArtifact"

// Run is the kustomize-controller.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts options
	opts.bind(d.Flags)
	d.Kinds = []client.Object{&kustomizev1.Kustomization{}}
	d.Features = map[string]bool{daemon.CacheSecretsAndConfigMaps: false, externalArtifact: false}
	if err := d.Parse(kustomizev1.AddToScheme, sourcev1.AddToScheme); err != nil {
		return err
	}
	scratch, err := fetch.NewScratch(filepath.Join(os.TempDir(), d.Name))
	if err != nil {
		return err
	}
	artifacts, err := fetch.New(fetch.Options{
		Dir: scratch.Dir, Retries: opts.retries(), Rewrite: rewrite(d.Getenv("SOURCE_CONTROLLER_LOCALHOST")),
	})
	if err != nil {
		return errors.Join(fmt.Errorf("opening artifact cache: %w", err), scratch.Remove())
	}
	kustomizations := kustomization.New(artifacts, kustomization.Options{
		RequeueDependency: opts.requeueDependency,
		SameNamespaceOnly: opts.noCrossNamespaceRefs,
		ExternalArtifacts: d.Enabled(externalArtifact),
		Parallel:          opts.concurrentSSA,
	})
	return errors.Join(d.Start(ctx, kustomizations), artifacts.Close(), scratch.Remove())
}

// options are the flags of this controller.
type options struct {
	requeueDependency    time.Duration
	noCrossNamespaceRefs bool
	concurrentSSA        int
	httpRetry            int
}

func (o *options) bind(fs *pflag.FlagSet) {
	fs.DurationVar(&o.requeueDependency, "requeue-dependency", 30*time.Second, "time after which something that is not ready is looked at again; its becoming ready is noticed at once")
	fs.BoolVar(&o.noCrossNamespaceRefs, "no-cross-namespace-refs", false, "refuse references to objects of other namespaces")
	fs.IntVar(&o.concurrentSSA, "concurrent-ssa", 4, "number of requests to the API server under way for one Kustomization")
	fs.IntVar(&o.httpRetry, "http-retry", 9, "number of times that the download of an artifact is tried again")
}

// retries is the flag in the terms of package fetch, where 0 means the default.
func (o *options) retries() int {
	if o.httpRetry <= 0 {
		return -1
	}
	return o.httpRetry
}

// rewrite returns how to reach artifacts from outside of a cluster: at another host.
func rewrite(host string) func(*url.URL) {
	if host == "" {
		return nil
	}
	return func(u *url.URL) { u.Host = host }
}
