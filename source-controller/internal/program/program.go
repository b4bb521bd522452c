// Package program is the source-controller as a function of its command line, so
// that tests run what users run.
package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/serve"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/git"
	"weir.dev/source-controller/internal/gitrepository"
)

// Run is the source-controller.
func Run(ctx context.Context, d *daemon.Daemon) error {
	var opts options
	opts.bind(d.Flags, d.Getenv)
	d.Kinds = []client.Object{&sourcev1.GitRepository{}}
	if err := d.Parse(sourcev1.AddToScheme); err != nil {
		return err
	}
	if err := opts.validate(); err != nil {
		return err
	}
	algorithm, err := artifact.ParseAlgorithm(opts.algorithm)
	if err != nil {
		return fmt.Errorf("--artifact-digest-algo: %w", err)
	}
	files, err := store.Open(store.Options{
		Dir: opts.path, Keep: opts.keep, TTL: opts.ttl, MaxSize: opts.maxSize, Algorithm: algorithm,
	})
	if err != nil {
		return fmt.Errorf("opening artifact store at --storage-path: %w", err)
	}
	// A folder whose name begins with a dot is not served.
	stores, err := git.OpenStores(filepath.Join(opts.path, ".git-remotes"))
	if err != nil {
		return errors.Join(err, files.Close())
	}
	addr, err := d.Serve("artifacts", opts.addr, serve.New(files))
	if err != nil {
		return errors.Join(err, files.Close())
	}
	repos := gitrepository.New(files, stores, git.NewClient(git.Limits{}), advertise(opts.advertised, opts.addr, addr, d.Getenv("HOSTNAME")))
	return errors.Join(d.Start(ctx, repos), files.Close())
}

// options are the flags of this controller, which decide where artifacts are kept
// and how consumers reach them.
type options struct {
	path, addr, advertised, algorithm string
	ttl                               time.Duration
	keep                              int
	maxSize                           int64
}

func (o *options) bind(fs *pflag.FlagSet, getenv func(string) string) {
	fs.StringVar(&o.path, "storage-path", or(getenv("STORAGE_PATH"), "/data"), "folder of the artifacts, which must exist (environment: STORAGE_PATH)")
	fs.StringVar(&o.addr, "storage-addr", or(getenv("STORAGE_ADDRESS"), ":9090"), "address on which artifacts are served (environment: STORAGE_ADDRESS)")
	fs.StringVar(&o.advertised, "storage-adv-addr", getenv("STORAGE_ADV_ADDR"), "host, or URL, by which consumers reach --storage-addr; empty means to derive it (environment: STORAGE_ADV_ADDR)")
	fs.StringVar(&o.algorithm, "artifact-digest-algo", string(artifact.SHA256), "algorithm of the digest of artifacts: sha256, sha384 or sha512")
	fs.DurationVar(&o.ttl, "artifact-retention-ttl", time.Minute, "age at which an artifact that is no longer advertised may be removed")
	fs.IntVar(&o.keep, "artifact-retention-records", 2, "number of artifacts to keep of each source, with the advertised one")
	fs.Int64Var(&o.maxSize, "artifact-max-size", 256<<20, "bytes above which an artifact is refused")
}

// validate refuses values that the store would take for its defaults.
func (o *options) validate() error {
	if o.keep < 1 {
		return fmt.Errorf("--artifact-retention-records is %d: it must be 1 or more, for the advertised artifact", o.keep)
	}
	if o.ttl <= 0 {
		return fmt.Errorf("--artifact-retention-ttl is %s: it must be positive", o.ttl)
	}
	return nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// advertise returns the beginning of the URLs of artifacts. Without a host that
// consumers were promised, it is that of the machine; a port that was left open is
// the one in use.
func advertise(advertised, asked string, inUse net.Addr, hostname string) string {
	if strings.HasPrefix(advertised, "http://") || strings.HasPrefix(advertised, "https://") {
		return strings.TrimSuffix(advertised, "/")
	}
	if advertised != "" {
		return "http://" + advertised
	}
	host, _, err := net.SplitHostPort(asked)
	if err != nil {
		host = ""
	}
	switch host {
	case "":
		host = "localhost"
	case "0.0.0.0", "::":
		host = or(hostname, "localhost")
	}
	_, port, err := net.SplitHostPort(inUse.String())
	if err != nil {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, port)
}
