// Package program is the source-controller as a function of its command line, so
// that tests run what users run.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/serve"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/git"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/bucket"
	"weir.dev/source-controller/internal/bucket/mirror"
	"weir.dev/source-controller/internal/gitrepository"
	"weir.dev/source-controller/internal/helm/remote"
	"weir.dev/source-controller/internal/helmchart"
	"weir.dev/source-controller/internal/helmrepository"
	"weir.dev/source-controller/internal/ocirepository"
	"weir.dev/source-controller/internal/signature"
	"weir.dev/source-controller/internal/source"
)

// Folders of the storage for what is kept between runs. Those whose name begins with a
// dot are not served.
const (
	remotesFolder = ".git-remotes"
	mirrorFolder  = ".bucket-objects"
	indexesFolder = ".helm-indexes"
)

// Run is the source-controller.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts options
	opts.bind(d.Flags, d.Getenv)
	d.Kinds = []client.Object{
		&sourcev1.GitRepository{}, &sourcev1.OCIRepository{}, &sourcev1.HelmRepository{}, &sourcev1.HelmChart{}, &sourcev1.Bucket{},
	}
	d.Features = map[string]bool{daemon.CacheSecretsAndConfigMaps: false, cloud.FeatureGate: false}
	if err := d.Parse(sourcev1.AddToScheme); err != nil {
		return err
	}
	if err := opts.validate(); err != nil {
		return err
	}
	files, err := store.Open(opts.storage)
	if err != nil {
		return fmt.Errorf("opening artifact store at --storage-path: %w", err)
	}
	addr, err := d.Serve("artifacts", opts.addr, serve.New(files))
	if err != nil {
		return errors.Join(err, files.Close())
	}
	kinds, err := reconcilers(d, &opts, files, advertise(opts.advertised, opts.addr, addr, d.Getenv("HOSTNAME")))
	if err != nil {
		return errors.Join(err, files.Close())
	}
	return errors.Join(d.Start(ctx, kinds...), files.Close())
}

// reconcilers makes those of all kinds. They share what is safe to share: the artifacts,
// connections, logins and tokens.
func reconcilers(d *daemon.Daemon, opts *options, files *store.Store, baseURL string) ([]daemon.Reconciler, error) {
	remotes, err := git.OpenStores(filepath.Join(opts.storage.Dir, remotesFolder))
	if err != nil {
		return nil, err
	}
	objects, err := mirror.Open(filepath.Join(opts.storage.Dir, mirrorFolder))
	if err != nil {
		return nil, err
	}
	indexes := filepath.Join(opts.storage.Dir, indexesFolder)
	if err := os.MkdirAll(indexes, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of indexes: %w", err)
	}
	common := source.Services{Files: files, BaseURL: baseURL}
	if common.Objects, err = followed.Manage(d.Manager()); err != nil {
		return nil, err
	}
	if common.Identities, err = cloud.New(d.Client(), d.Live(), opts.identities(d, common.Objects)); err != nil {
		return nil, err
	}
	gits := git.NewClient(git.Limits{})
	gits.Use(opts.algorithms)
	registries, wires := oci.NewClient(oci.Limits{}), new(remote.Wires)
	signatures := signature.New(signature.Options{RootDir: d.Getenv("TUF_ROOT")})
	return []daemon.Reconciler{
		gitrepository.New(common, remotes, gits, opts.requeue),
		ocirepository.New(common, registries, signatures, ocirepository.Options{MaxLayer: opts.storage.MaxSize}),
		helmrepository.New(common, indexes, wires, opts.helm),
		helmchart.New(common, wires, registries, signatures, helmchart.Options{Options: opts.helm, Requeue: opts.requeue}),
		bucket.New(common, objects),
	}, nil
}
