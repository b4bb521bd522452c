// The images program makes container images of the controllers from their static binaries:
// a user that is not root, the certificates of authorities, a folder for temporary files,
// and nothing else. No container engine is needed. The same files give the same images.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"weir.dev/deploy/images/image"
	"weir.dev/deploy/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	bins, registry, layout, version, authorities string
}

// run makes the images of all controllers, and pushes or writes them.
func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("images", flag.ContinueOnError)
	fs.StringVar(&o.bins, "bin", "bin", "comma-separated list of folders with the programs, one for each architecture")
	fs.StringVar(&o.registry, "registry", "", "where to push images, as in registry.example.com/weir; empty means to write them to --layout")
	fs.StringVar(&o.layout, "layout", "bin/images", "folder of an OCI image layout, which is written anew")
	fs.StringVar(&o.version, "version", install.Version, "tag of the images")
	fs.StringVar(&o.authorities, "ca-certificates", "", "file of the certificates of authorities, in PEM; empty means that of this machine")
	if err := fs.Parse(args); err != nil {
		return err
	}
	authorities, err := image.Authorities(o.authorities)
	if err != nil {
		return err
	}
	var images []image.Image
	for _, name := range install.All() {
		i, err := image.Build(image.Options{Name: name, Version: o.version, Folders: strings.Split(o.bins, ","), Authorities: authorities})
		if err != nil {
			return err
		}
		images = append(images, i)
	}
	if o.registry == "" {
		if err := image.WriteLayout(o.layout, images); err != nil {
			return err
		}
		fmt.Fprintf(out, "%d images are in the OCI layout %s; REGISTRY=<registry> pushes them\n", len(images), o.layout)
		return nil
	}
	for _, i := range images {
		reference, err := i.Push(ctx, o.registry)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, reference)
	}
	return nil
}
