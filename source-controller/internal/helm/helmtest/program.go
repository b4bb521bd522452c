package helmtest

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/serve"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm"
	"weir.dev/source-controller/internal/helm/remote"
	"weir.dev/source-controller/internal/helmchart"
	"weir.dev/source-controller/internal/helmrepository"
	"weir.dev/source-controller/internal/signature"
	"weir.dev/source-controller/internal/source"
)

// Run is a source-controller that has the kinds of Helm only. The objects of other kinds
// have the status that a test gives them.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts helm.Options
	opts.Bind(d.Flags)
	dir := d.Flags.String("storage-path", "", "")
	addr := d.Flags.String("storage-addr", "", "")
	d.Kinds = []client.Object{&sourcev1.HelmRepository{}, &sourcev1.HelmChart{}, &sourcev1.GitRepository{}, &sourcev1.Bucket{}}
	if err := d.Parse(sourcev1.AddToScheme); err != nil {
		return err
	}
	if err := opts.Validate(); err != nil {
		return err
	}
	files, err := store.Open(store.Options{Dir: *dir, TTL: time.Hour})
	if err != nil {
		return err
	}
	at, err := d.Serve("artifacts", *addr, serve.New(files))
	if err != nil {
		return errors.Join(err, files.Close())
	}
	common := source.Services{Files: files, BaseURL: "http://" + at.String()}
	if common.Objects, err = followed.Manage(d.Manager()); err != nil {
		return errors.Join(err, files.Close())
	}
	if common.Identities, err = cloud.New(d.Client(), d.Live(), cloud.Options{}); err != nil {
		return errors.Join(err, files.Close())
	}
	wires := new(remote.Wires)
	repos := helmrepository.New(common, filepath.Join(*dir, ".helm-indexes"), wires, opts)
	charts := helmchart.New(common, wires, oci.NewClient(oci.Limits{}), signature.New(signature.Options{}),
		helmchart.Options{Options: opts, Requeue: time.Second})
	return errors.Join(d.Start(ctx, repos, charts), files.Close())
}
