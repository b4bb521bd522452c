// Package program is the image-controller as a function of its command line, so that
// tests run what users run.
package program

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/image-controller/internal/imagepolicy"
	"weir.dev/image-controller/internal/imagerepository"
	"weir.dev/image-controller/internal/imageupdateautomation"
	"weir.dev/image-controller/internal/registry"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/followed"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/oci"
)

// remotesFolder is the folder of the storage for what was fetched of Git repositories.
const remotesFolder = ".git-remotes"

// Run is the image-controller.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts options
	opts.bind(d.Flags)
	d.Kinds = []client.Object{&imagev1.ImageRepository{}, &imagev1.ImagePolicy{}, &imagev1.ImageUpdateAutomation{}}
	d.Features = features()
	if err := d.Parse(imagev1.AddToScheme, sourcev1.AddToScheme); err != nil {
		return err
	}
	if err := opts.validate(); err != nil {
		return err
	}
	kinds, err := reconcilers(d, &opts)
	if err != nil {
		return err
	}
	return d.Start(ctx, kinds...)
}

// reconcilers makes those of all kinds. They share what is safe to share: what is read
// of the cluster, lists of tags, connections, logins and tokens.
func reconcilers(d *daemon.Daemon, opts *options) ([]daemon.Reconciler, error) {
	if info, err := os.Stat(opts.storage); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--storage-path is %q, which is no folder: create it", opts.storage)
	}
	lists, err := tags.Open(opts.storage)
	if err != nil {
		return nil, err
	}
	lists.CompressAbove = opts.compressAbove << 10
	objects, err := followed.Manage(d.Manager())
	if err != nil {
		return nil, err
	}
	identities, err := cloud.New(d.Client(), d.Live(), opts.identities(d, objects))
	if err != nil {
		return nil, err
	}
	registries := registry.New(oci.NewClient(oci.Limits{}), identities)
	remotes, err := git.OpenStores(filepath.Join(opts.storage, remotesFolder))
	if err != nil {
		return nil, err
	}
	gits := git.NewClient(git.Limits{})
	gits.Use(opts.algorithms)
	return []daemon.Reconciler{
		imagerepository.New(lists, registries, objects),
		imagepolicy.New(lists, registries, objects, imagepolicy.Options{Requeue: opts.requeueDependency, SameNamespaceOnly: opts.noCrossNamespaceRefs}),
		imageupdateautomation.New(objects, gitaccess.New(identities), remotes, gits, imageupdateautomation.Options{SameNamespaceOnly: opts.noCrossNamespaceRefs, ForcePush: d.Enabled(forcePushBranch)}),
	}, nil
}
