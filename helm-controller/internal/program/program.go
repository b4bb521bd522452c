// Package program is the helm-controller as a function of its command line, so that tests
// run what users run.
package program

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/charts"
	"weir.dev/helm-controller/internal/helmrelease"
	"weir.dev/helm-controller/internal/oom"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
)

// Run is the helm-controller.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts options
	opts.bind(d.Flags)
	d.Kinds = []client.Object{&helmv2.HelmRelease{}}
	d.Features, d.InertFeatures = features(), inert()
	if err := d.Parse(helmv2.AddToScheme, sourcev1.AddToScheme); err != nil {
		return err
	}
	log.SetOutput(action.WithoutValues(log.Writer()))
	if err := opts.validate(d.Enabled); err != nil {
		return err
	}
	if d.Enabled(oomWatch) {
		var err error
		if ctx, err = oom.Watch(ctx, opts.memory); err != nil {
			return fmt.Errorf("the feature gate %s: %w", oomWatch, err)
		}
	}
	handled, err := opts.helmReleases(d)
	if err != nil {
		return err
	}
	scratch, err := fetch.NewScratch(filepath.Join(os.TempDir(), d.Name))
	if err != nil {
		return err
	}
	artifacts, err := fetch.New(charts.Limit(fetch.Options{
		Dir: scratch.Dir, Retries: opts.retries(), Client: &http.Client{Timeout: opts.httpTimeout}, Rewrite: fetch.Localhost(d.Getenv("SOURCE_CONTROLLER_LOCALHOST"), d.Getenv("SOURCE_WATCHER_LOCALHOST")),
	}))
	if err != nil {
		return errors.Join(fmt.Errorf("opening the cache of charts: %w", err), scratch.Remove())
	}
	err = opts.run(ctx, d, helmrelease.New(charts.New(artifacts, charts.Options{}), handled))
	return errors.Join(err, artifacts.Close(), scratch.Remove())
}

// run runs the controller until ctx ends, and then a while longer: the actions that are
// under way go on to their end, and what came of them is recorded, while this process still
// leads.
func (o *options) run(ctx context.Context, d *daemon.Daemon, r *helmrelease.Reconciler) error {
	working, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	defer context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, oom.ErrNear) {
			d.Log.Info("stopping", "why", cause.Error())
		}
		r.Drain(o.grace)
		stop(context.Cause(ctx))
	})()
	err := d.Start(working, r)
	r.Drain(0) // where it did not end because it was asked to
	return err
}

// helmReleases says how HelmReleases are handled.
func (o *options) helmReleases(d *daemon.Daemon) (helmrelease.Options, error) {
	opts := helmrelease.Options{
		RequeueDependency:   o.requeueDependency,
		SameNamespaceOnly:   o.noCrossNamespaceRefs,
		AdditiveReadyExpr:   d.Enabled(additiveReadyExpr),
		DirectSources:       d.Enabled(directSourceFetch),
		ExternalArtifacts:   d.Enabled(externalArtifact),
		NewRevisionEndsWait: d.Enabled(cancelHealthCheck),
		PlainVersions:       d.Enabled(disableChartDigest),
		DNS:                 d.Enabled(allowDNSLookups),
		Defaults:            defaults(d.Enabled),
		Digest:              digest.Algorithm(o.digest),
		Apply: apply.Config{
			Override: o.overrideManagers,
			Wishes:   apply.NoWishes, // the annotations are those of Kustomizations
			Warned:   func(text string) { d.Log.Info("the API server warns", "warning", text) },
		},
		DefaultServiceAccount:    o.defaultAccount,
		DefaultKubeconfigAccount: o.kubeconfigAccount,
		Kubeconfigs:              o.kubeconfigs,
	}
	tokens := o.tokens
	tokens.ObjectLevel, tokens.Metrics = d.Enabled(cloud.FeatureGate), ctrlmetrics.Registry
	if !d.Enabled(disableConfigWatchers) {
		objects, err := followed.Manage(d.Manager())
		if err != nil {
			return opts, err
		}
		objects.TellOnly(o.told)
		opts.Configs = objects
		tokens.Accounts = func(asks cloud.Object) client.Reader { return objects.Beside(asks.Kind, asks.Namespace, asks.Name) }
	}
	var err error
	opts.Identities, err = cloud.New(d.Client(), d.Live(), tokens)
	return opts, err
}

// defaults are what specs mean that say nothing, by the features that change that.
func defaults(enabled func(feature string) bool) helmrelease.Defaults {
	var out helmrelease.Defaults
	if enabled(useHelm3Defaults) {
		out = out.Helm3()
	}
	if enabled(defaultRetryOnFailure) {
		out.Strategy = helmv2.StrategyRetryOnFailure
	}
	switch {
	case enabled(detectDrift) && enabled(correctDrift):
		out.Drift = helmv2.DriftDetectionEnabled
	case enabled(detectDrift):
		out.Drift = helmv2.DriftDetectionWarn
	}
	return out
}
