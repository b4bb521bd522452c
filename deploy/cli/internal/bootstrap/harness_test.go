package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/deploy/cli/internal/provider/providertest"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/pullrequest"
	"weir.dev/pkg/testplane"
)

const (
	token = "t0p-s3cret-token"
	fleet = "team/fleet"
)

// lines collects what is told.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
}
func (l *lines) Say(format string, args ...any)     { l.add(format, args...) }
func (l *lines) Done(format string, args ...any)    { l.add(format, args...) }
func (l *lines) Waiting(format string, args ...any) { l.add(format, args...) }
func (l *lines) Warn(format string, args ...any)    { l.add("warning: "+format, args...) }

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// cutter lets so many changes happen, of the cluster, of the repository and of its host, and
// then no request any more.
type cutter struct {
	mu    sync.Mutex
	left  int  // before the end
	after bool // the last change is done, and nobody hears of it
	armed bool
	ended bool
	count int
}

var errCut = errors.New("cut off")

// enter reports whether a request is sent, and whether its answer arrives.
func (c *cutter) enter(change bool) (sent, heard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false, false
	}
	if !change {
		return true, true
	}
	c.count++
	if c.armed {
		if c.left--; c.left < 0 {
			c.ended = true
			return c.after, false
		}
	}
	return true, true
}

// arm has the change after so many be the last.
func (c *cutter) arm(changes int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.after, c.armed, c.ended, c.count = changes, after, true, false, 0
}

// calm lets everything happen, and reports whether the end came before that.
func (c *cutter) calm() (ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended, c.armed, c.ended, c.count = c.ended, false, false, 0
	return ended
}

func (c *cutter) changes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// isChange reports whether a request changes anything.
func isChange(r *http.Request) bool {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead || r.URL.Query().Get("dryRun") != "":
		return false
	case strings.Contains(r.URL.Path, "selfsubjectaccessreviews"):
		return false
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		return false
	}
	return true
}

// client is how the cluster is asked.
func (c *cutter) client(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		sent, heard := c.enter(isChange(r))
		if !sent {
			return nil, errCut
		}
		res, err := next.RoundTrip(r)
		if err == nil && !heard {
			res.Body.Close()
			return nil, errCut
		}
		return res, err
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// server is around the host of the repository.
func (c *cutter) server(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, heard := c.enter(isChange(r))
		if sent && heard {
			next.ServeHTTP(w, r)
			return
		}
		if sent {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	})
}

// world is a cluster, a host with its Git server, and who bootstraps.
type world struct {
	*testplane.Plane
	t    *testing.T
	ssh  *gitservertest.Server
	host *providertest.Host
	cut  *cutter
	said *lines
	lazy atomic.Bool // the source looks at its repository when it is asked to
}

func newWorld(t *testing.T, kind pullrequest.Kind) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, cut: new(cutter), said: new(lines)}
	w.ssh = gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit, Push: true})
	over, err := gitserver.NewHandler(w.ssh.Dir, gitserver.Options{Backend: gitserver.GoGit, Push: true, Username: "team", Password: token})
	if err != nil {
		t.Fatal(err)
	}
	w.host = providertest.Start(t, providertest.Options{
		Kind: kind, Token: token, User: "ann", Groups: []string{"team", "crew"}, Rest: over, Wrap: w.cut.server,
		Created: func(path string) error {
			_, err := gitserver.Init(w.ssh.Dir, path)
			if errors.Is(err, fs.ErrExist) {
				return nil
			}
			return err
		},
	})
	w.reconcile()
	return w
}

// repository makes the repository, as somebody else does.
func (w *world) repository() *gitservertest.Repo {
	w.t.Helper()
	w.host.Add(fleet)
	return w.repo()
}

func (w *world) repo() *gitservertest.Repo {
	w.t.Helper()
	return w.ssh.Repo(fleet)
}

// run returns a run of the command, as a new process would make it.
func (w *world) run(edit func(*bootstrap.Bootstrap)) (bootstrap.Result, error) {
	w.t.Helper()
	cfg := rest.CopyConfig(w.Config())
	cfg.Wrap(w.cut.client)
	scheme, err := session.Scheme()
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return bootstrap.Result{}, err
	}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	host, err := provider.New(provider.Options{
		Kind: w.host.Kind, Pages: w.host.Pages(), SSHHost: w.ssh.SSH().Addr, Owner: "team", Name: "fleet", Token: creds.Hide(token),
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	o := options()
	o.Install.Namespace, o.Secret, o.URL = w.Namespace, w.Namespace, host.Clone().SSH
	o.Install.Components, o.Install.WatchAllNamespaces = []string{"source-controller", "kustomize-controller"}, false
	b := &bootstrap.Bootstrap{
		Options: o, Config: cfg, Client: c, Discovery: d, Dir: w.t.TempDir(),
		GitURL: host.Clone().HTTPS, Git: creds.Git{Username: creds.Hide("team"), Password: creds.Hide(token)},
		Login: bootstrap.Login{SSH: true}, Host: &bootstrap.Host{Host: host, Settings: provider.Settings{Visibility: "private"}},
		Render: render, Tell: w.said, Now: time.Now,
	}
	if edit != nil {
		edit(b)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	return b.Run(ctx)
}

// must runs the command, which has to succeed.
func (w *world) must(edit func(*bootstrap.Bootstrap)) bootstrap.Result {
	w.t.Helper()
	r, err := w.run(edit)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.said)
	}
	return r
}

// over has the cluster get in by https.
func over(b *bootstrap.Bootstrap) {
	b.Options.URL = b.GitURL
	b.Login = bootstrap.Login{Username: creds.Hide("git"), Password: creds.Hide(token)}
}

// reconcile does what the controllers do, as far as it is seen in the status of the two
// objects.
func (w *world) reconcile() {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.reconcileOnce(ctx)
			}
		}
	}()
	w.t.Cleanup(func() { cancel(); <-done })
}

func (w *world) reconcileOnce(ctx context.Context) {
	key := client.ObjectKey{Namespace: w.Namespace, Name: w.Namespace}
	var source sourcev1.GitRepository
	if w.Client.Get(ctx, key, &source) != nil {
		return
	}
	repo, err := gitserver.Open(w.ssh.Dir, fleet)
	if err != nil {
		return
	}
	head, err := repo.Head(source.Spec.Reference.Branch)
	if err != nil {
		return
	}
	revision := source.Spec.Reference.Branch + "@sha1:" + head
	ready := func(generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Succeeded", Message: "done", ObservedGeneration: generation, LastTransitionTime: metav1.Now()}}
	}
	token := source.Annotations[meta.ReconcileRequestAnnotation]
	if strings.HasPrefix(source.Spec.URL, "ssh:") && !w.knowsHost(ctx) {
		source.Status.ObservedGeneration, source.Status.LastHandledReconcileAt = source.Generation, token
		source.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: metav1.ConditionFalse, Reason: "Failed", Message: "the host is another", ObservedGeneration: source.Generation, LastTransitionTime: metav1.Now()}}
		_ = w.Client.Status().Update(ctx, &source) // the next round tries again
		return
	}
	failed := slices.ContainsFunc(source.Status.Conditions, func(c metav1.Condition) bool { return c.Status != metav1.ConditionTrue })
	if failed || source.Status.Artifact == nil || source.Status.Artifact.Revision != revision && !w.lazy.Load() || source.Status.LastHandledReconcileAt != token || source.Status.ObservedGeneration != source.Generation {
		source.Status.ObservedGeneration, source.Status.LastHandledReconcileAt = source.Generation, token
		source.Status.Conditions = ready(source.Generation)
		source.Status.Artifact = &meta.Artifact{Revision: revision, Path: "p", URL: "http://x/p", Digest: "sha256:" + strings.Repeat("0", 64), LastUpdateTime: metav1.Now()}
		_ = w.Client.Status().Update(ctx, &source) // the next round tries again
	}
	var ks kustomizev1.Kustomization
	if w.Client.Get(ctx, key, &ks) != nil {
		return
	}
	token, revision = ks.Annotations[meta.ReconcileRequestAnnotation], source.Status.Artifact.Revision
	if ks.Status.LastAttemptedRevision != revision || ks.Status.LastHandledReconcileAt != token || ks.Status.ObservedGeneration != ks.Generation {
		ks.Status.ObservedGeneration, ks.Status.LastHandledReconcileAt = ks.Generation, token
		ks.Status.Conditions = ready(ks.Generation)
		ks.Status.LastAttemptedRevision, ks.Status.LastAppliedRevision = revision, revision
		_ = w.Client.Status().Update(ctx, &ks) // the next round tries again
	}
}

// knowsHost reports whether the cluster knows the host of the repository.
func (w *world) knowsHost(ctx context.Context) bool {
	var s corev1.Secret
	if w.Client.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: w.Namespace}, &s) != nil {
		return false
	}
	return strings.Contains(string(s.Data["known_hosts"]), string(w.ssh.SSH().KnownHosts))
}

// secret returns the data of the source Secret.
func (w *world) secret() map[string][]byte {
	w.t.Helper()
	var s corev1.Secret
	s.Name, s.Namespace = w.Namespace, w.Namespace
	if !w.Get(&s) {
		w.t.Fatal("there is no Secret")
	}
	return s.Data
}

// file returns a file of the branch.
func (w *world) file(branch, path string) string {
	w.t.Helper()
	remote, err := git.NewRemote(w.ssh.URL(fleet), creds.Git{})
	if err != nil {
		w.t.Fatal(err)
	}
	repo, err := bootstrap.OpenRepository(remote.String(), creds.Git{}, w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	o := options()
	o.Branch, o.Install.Namespace = branch, w.Namespace
	view, err := repo.Look(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	defer view.Close()
	return string(view.Files[path])
}

// renderAfter renders after something else has happened.
func renderAfter(happens func()) func(install.Options) ([]byte, error) {
	return func(o install.Options) ([]byte, error) {
		happens()
		return render(o)
	}
}
