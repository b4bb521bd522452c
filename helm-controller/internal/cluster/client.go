package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// Manager is the field manager of all that is written to objects of releases.
const Manager = "helm-controller"

// Options are about one action.
type Options struct {
	// Owner is the HelmRelease; Release is the name and the namespace of its release.
	Owner, Release types.NamespacedName
	// Method is how objects are applied; anything but releases.ClientSide is server-side.
	Method releases.Method
	// TakeOwnership makes the SDK take every object for new, without a request, so that
	// it is taken over if it exists. Otherwise the SDK looks for objects that are new to
	// the release, and refuses those that exist and are not the release's.
	TakeOwnership bool
	// Strict has the API server refuse fields that a kind does not have. It would leave them
	// out otherwise, except under server-side apply, which always refuses them.
	Strict bool
	// Earlier are manifests of releases that failed since one was deployed, and of that one.
	// What they have and the release has not is deleted with what leaves it, and when it is
	// uninstalled: the SDK knows of the objects of one earlier release only.
	Earlier []string
	// Checks judge objects of kinds whose health users describe.
	Checks health.Rules
	// Legacy asks for the readiness rules of Helm 3 instead of those of kstatus.
	Legacy bool
	// Waits tells of changes to what is waited for. Nil means to look at what the
	// watches have told several times a second.
	Waits *Waits
	// Lend is called before a wait, and what it returned after it: others may work
	// meanwhile; may be nil.
	Lend func() (back func())
	// Newer is closed when something newer is asked for: then waits for the health of objects
	// end with ErrNewer, while what is begun otherwise goes on. Nil means never.
	Newer <-chan struct{}
	// Log is told what is done; may be nil.
	Log func(format string, args ...any)
}

// ErrNewer ends a wait for objects of which others are asked for meanwhile.
var ErrNewer = errors.New("interrupted: there is a newer revision")

// Client is the kube client of the SDK for one action. It is safe for concurrent use.
type Client struct {
	ctx  context.Context // of the action: the SDK passes none
	at   *tenant.Place
	opts Options
	conn *connection
	// absent returns a client to which no object exists.
	absent func() (resource.RESTClient, error)

	mu      sync.Mutex
	changes []apply.Change
	remains map[manifest.ID]bool // of what was to be deleted, whether it still existed then
	unseen  map[manifest.ID]leftover
	also    kube.ResourceList // what was deleted with a release besides its own objects
}

var (
	_ kube.Interface                    = (*Client)(nil)
	_ kube.InterfaceExt                 = (*Client)(nil)
	_ kube.InterfaceThreeWayMerge       = (*Client)(nil)
	_ kube.InterfaceLogs                = (*Client)(nil)
	_ kube.InterfaceDeletionPropagation = (*Client)(nil)
)

// New returns the Client of an action that goes on as long as ctx, for objects at a place.
func New(ctx context.Context, at *tenant.Place, opts Options) *Client {
	c := &Client{ctx: ctx, at: at, opts: opts, absent: sync.OnceValues(absent), remains: make(map[manifest.ID]bool), unseen: make(map[manifest.ID]leftover)}
	c.conn = connect(ctx, at, func(text string) { c.logf("warning of the API server: %s", text) })
	if opts.Strict {
		c.conn.http.Transport = strict{base: c.conn.http.Transport}
	}
	return c
}

// Changes returns what has become of objects of the release, in order; what was left as
// it is does not count, nor do hooks.
func (c *Client) Changes() []apply.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// IsReachable implements kube.Interface. It asks nothing: the requests that follow tell.
func (c *Client) IsReachable() error { return c.alive() }

// alive returns why the action has ended, if it has.
func (c *Client) alive() error {
	if c.ctx.Err() == nil {
		return nil
	}
	return c.interrupted()
}

// interrupted is the error of an action that was ended from outside.
func (c *Client) interrupted() error {
	return fmt.Errorf("interrupted: %w", context.Cause(c.ctx))
}

// note remembers changes, but for what was left as it is.
func (c *Client) note(changes ...apply.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range changes {
		if change.Effect != apply.Unchanged && change.Effect != apply.Skipped {
			c.changes = append(c.changes, change)
		}
	}
}

func (c *Client) logf(format string, args ...any) {
	if c.opts.Log != nil {
		c.opts.Log(format, args...)
	}
}

// clientSide reports whether the SDK's own client applies.
func (c *Client) clientSide() bool { return c.opts.Method == releases.ClientSide }

// seconds is a duration as users write it.
func seconds(d time.Duration) string { return d.Round(time.Second).String() }
