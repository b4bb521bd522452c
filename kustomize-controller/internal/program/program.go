// Package program is the kustomize-controller as a function of its command line,
// so that tests run what users run.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/kustomize-controller/internal/kustomization"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/tenantaccess"
)

// Run is the kustomize-controller.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts options
	opts.bind(d.Flags)
	d.Kinds = []client.Object{&kustomizev1.Kustomization{}}
	d.Features = features()
	if err := d.Parse(kustomizev1.AddToScheme, sourcev1.AddToScheme); err != nil {
		return err
	}
	if err := opts.validate(d.Namespace(), d.Enabled); err != nil {
		return err
	}
	handled, err := opts.kustomizations(d)
	if err != nil {
		return err
	}
	scratch, err := fetch.NewScratch(filepath.Join(os.TempDir(), d.Name))
	if err != nil {
		return err
	}
	artifacts, err := fetch.New(fetch.Options{
		Dir: scratch.Dir, Retries: opts.retries(), Rewrite: fetch.Localhost(d.Getenv("SOURCE_CONTROLLER_LOCALHOST"), d.Getenv("SOURCE_WATCHER_LOCALHOST")),
	})
	if err != nil {
		return errors.Join(fmt.Errorf("opening artifact cache: %w", err), scratch.Remove())
	}
	return errors.Join(d.Start(ctx, kustomization.New(artifacts, handled)), artifacts.Close(), scratch.Remove())
}

// kustomizations says how Kustomizations are handled.
func (o *options) kustomizations(d *daemon.Daemon) (kustomization.Options, error) {
	opts := kustomization.Options{
		RequeueDependency: o.requeueDependency,
		SameNamespaceOnly: o.noCrossNamespaceRefs,
		GroupChanges:      d.Enabled(groupChangeLog),
		ExternalArtifacts: d.Enabled(externalArtifact),
		DirectSources:     d.Enabled(directSourceFetch),
		AdditiveReadyExpr: d.Enabled(additiveReadyExpr),
		WaitForStalled:    d.Enabled(disableFailFast),
		EmptyVariables:    !d.Enabled(strictSubstitution),
		Apply: apply.Config{
			Parallel: o.concurrentSSA, Override: o.overrideManagers, MigrateAPIVersion: d.Enabled(migrateAPIVersion),
			Warned: func(text string) { d.Log.Info("the API server warns", "warning", text) },
		},
		CustomStage: o.customKinds,
		Access: tenantaccess.Options{
			DefaultServiceAccount: o.defaultAccount, DefaultKubeconfigAccount: o.kubeconfigAccount, Kubeconfigs: o.kubeconfigs,
		},
		Decryption: o.decryption(d),
	}
	tokens := o.tokens
	tokens.ObjectLevel, tokens.Metrics = d.Enabled(cloud.FeatureGate), metrics.Registry
	if !d.Enabled(disableConfigWatchers) {
		followed, err := o.follow(d)
		if err != nil {
			return opts, err
		}
		opts.Configs = followed
		tokens.Accounts = func(asks cloud.Object) client.Reader { return followed.Beside(asks.Kind, asks.Namespace, asks.Name) }
	}
	var err error
	opts.Identities, err = cloud.New(d.Client(), d.Live(), tokens)
	return opts, err
}

// decryption is what all that decrypt share.
func (o *options) decryption(d *daemon.Daemon) kustomization.Decryption {
	shared := kustomization.Decryption{DefaultServiceAccount: o.decryptionAccount}
	if o.vaultConfig != "" {
		shared.VaultConfig = types.NamespacedName{Namespace: d.Namespace(), Name: o.vaultConfig}
	}
	if o.ageSecret != "" {
		shared.AgeSecret = types.NamespacedName{Namespace: d.Namespace(), Name: o.ageSecret}
	}
	if token := creds.Hide(d.Getenv("VAULT_TOKEN")); !token.Empty() {
		shared.VaultToken = vaultToken(token, d.Getenv("VAULT_ADDR"))
	}
	return shared
}

// vaultToken returns what hands out the token of the process: to the one Vault that it is
// for, if that is told, since the address comes from documents of tenants.
func vaultToken(token creds.Hidden, of string) func(string) (creds.Hidden, error) {
	return func(address string) (creds.Hidden, error) {
		if of != "" && strings.TrimRight(address, "/") != strings.TrimRight(of, "/") {
			return creds.Hidden{}, fmt.Errorf("the token of the controller is for another Vault than %q, by VAULT_ADDR", address)
		}
		return token, nil
	}
}

// follow returns what follows the Secrets, ConfigMaps and ServiceAccounts that are read.
func (o *options) follow(d *daemon.Daemon) (*followed.Objects, error) {
	objects, err := followed.Manage(d.Manager())
	if err != nil {
		return nil, err
	}
	objects.TellOnly(o.told)
	return objects, nil
}
