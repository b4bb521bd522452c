// Package session holds what one call of the command has: where it reads and writes,
// how it reaches the cluster, and how it ends.
//
// Nothing is connected before a verb asks for it, so verbs that need no cluster work
// without one. Errors of the connection are told as what to do about them, by Explain.
package session

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

const (
	// DefaultNamespace is where the controllers are, and what they were bootstrapped from.
	DefaultNamespace = "flux-system"

	defaultTimeout = 5 * time.Minute
	unlimited      = -1
)

// Streams are what a call of the command reads and writes.
type Streams struct {
	In       io.Reader
	Out      io.Writer // results
	Err      io.Writer // what is said to people
	Terminal bool      // whether Err is a screen, on which progress can be shown
	Colour   bool      // whether results are to be coloured
	// LookupEnv returns a variable of the environment, and whether there is one; nil where
	// one that is empty need not be told from none.
	LookupEnv func(string) (string, bool)
}

// Session is one call of the command.
type Session struct {
	Streams
	// Getenv returns a variable of the environment.
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
	// Timeout bounds what the call waits for.
	Timeout time.Duration
	// Verbose asks for more to be said.
	Verbose bool
	// Silent has nobody be asked; what is piped in is read all the same.
	Silent bool
	// Wrap, if set, sees all requests to the API server.
	Wrap func(http.RoundTripper) http.RoundTripper

	flags          *genericclioptions.ConfigFlags
	namespaceGiven func() bool
	followContext  bool
	qps            float32
	burst          int

	config func() (*rest.Config, error)
	client func() (client.WithWatch, error)
	raw    func() (*rest.RESTClient, error)

	reading sync.Mutex
	lines   *bufio.Reader // of In
}

// New returns a session that is not connected.
func New(streams Streams, getenv func(string) string) *Session {
	s := &Session{
		Streams: streams, Getenv: getenv, Now: time.Now, Timeout: defaultTimeout,
		flags: genericclioptions.NewConfigFlags(true), namespaceGiven: func() bool { return false },
	}
	if s.LookupEnv == nil {
		s.LookupEnv = func(name string) (string, bool) { value := getenv(name); return value, value != "" }
	}
	*s.flags.Namespace = cmp.Or(getenv("FLUX_SYSTEM_NAMESPACE"), DefaultNamespace)
	s.flags.WrapConfigFn = s.adjust
	s.config = sync.OnceValues(s.connect)
	s.client = sync.OnceValues(s.newClient)
	s.raw = sync.OnceValues(s.newREST)
	return s
}

// Bind adds the flags that all verbs have.
func (s *Session) Bind(flags *pflag.FlagSet) {
	// -s belongs to --silent of some verbs, and --timeout is how long a call may wait.
	server := s.flags.APIServer
	s.flags.APIServer, s.flags.Timeout = nil, nil
	s.flags.AddFlags(flags)
	s.flags.APIServer = server
	flags.StringVar(server, "server", "", "The address and port of the Kubernetes API server")
	flags.Lookup("namespace").Usage = "The namespace to work in; FLUX_SYSTEM_NAMESPACE sets another default"
	follow := s.Getenv("FLUX_NS_FOLLOWS_KUBE_CONTEXT")
	flags.BoolVar(&s.followContext, "ns-follows-kube-context", follow != "" && follow != "false", "Work in the namespace of the kubeconfig context, unless --namespace is given")
	flags.DurationVar(&s.Timeout, "timeout", defaultTimeout, "How long to wait")
	flags.BoolVar(&s.Verbose, "verbose", false, "Say more, each request included")
	flags.Float32Var(&s.qps, "kube-api-qps", unlimited, "Requests a second; without it the API server sets the pace")
	flags.IntVar(&s.burst, "kube-api-burst", 0, "Requests beyond --kube-api-qps at once")
	s.namespaceGiven = func() bool { return flags.Changed("namespace") }
}

// Context bounds ctx by the timeout of the call. The cause says so, when it ends by that.
func (s *Session) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.Timeout, &timeout{s.Timeout})
}

// Namespace returns the namespace to work in.
func (s *Session) Namespace() string {
	if s.followContext && !s.namespaceGiven() {
		chosen := &genericclioptions.ConfigFlags{KubeConfig: s.flags.KubeConfig, Context: s.flags.Context}
		if ns, _, err := chosen.ToRawKubeConfigLoader().Namespace(); err == nil {
			return ns
		}
	}
	return *s.flags.Namespace
}

// Config returns the connection to the API server.
func (s *Session) Config() (*rest.Config, error) { return s.config() }

// Client reads and writes without a cache.
func (s *Session) Client() (client.WithWatch, error) { return s.client() }

// REST asks for whatever path.
func (s *Session) REST() (*rest.RESTClient, error) { return s.raw() }

// Discovery says what the API server serves. It may remember that for some hours, as
// kubectl does, in the same files.
func (s *Session) Discovery() (discovery.CachedDiscoveryInterface, error) {
	if _, err := s.config(); err != nil {
		return nil, err
	}
	return s.flags.ToDiscoveryClient()
}

// Mapper maps kinds to resources. It asks anew what it does not find remembered.
func (s *Session) Mapper() (meta.RESTMapper, error) {
	if _, err := s.config(); err != nil {
		return nil, err
	}
	return s.flags.ToRESTMapper()
}

// Getter gives libraries the connection.
func (s *Session) Getter() genericclioptions.RESTClientGetter { return s.flags }

// connect reads the kubeconfig.
func (s *Session) connect() (*rest.Config, error) {
	cfg, err := s.flags.ToRESTConfig()
	switch {
	case err == nil, clientcmd.IsEmptyConfig(err):
		return cfg, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, Hint(fmt.Errorf("reading the kubeconfig: %w", err), "name another file by --kubeconfig or KUBECONFIG")
	default:
		return nil, Hint(fmt.Errorf("reading the kubeconfig: %w", err), "see the contexts that there are: kubectl config get-contexts")
	}
}

// Quiet has libraries keep to themselves what they would log: errors are returned, too. It
// is for the whole process.
func Quiet() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
}

// adjust has a connection behave as flags ask.
func (s *Session) adjust(cfg *rest.Config) *rest.Config {
	cfg.QPS, cfg.Burst = s.qps, s.burst
	if cfg.QPS == 0 {
		cfg.QPS = unlimited
	}
	cfg.UserAgent = "weir"
	cfg.WarningHandler = rest.NoWarnings{}
	if s.Wrap != nil {
		cfg.Wrap(s.Wrap)
	}
	if s.Verbose {
		cfg.WarningHandler = rest.NewWarningWriter(s.Err, rest.WarningWriterOptions{Deduplicate: true})
		cfg.Wrap(s.tellRequests)
	}
	return cfg
}

func (s *Session) newClient() (client.WithWatch, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	mapper, err := s.Mapper()
	if err != nil {
		return nil, err
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(cfg, client.Options{Scheme: scheme, Mapper: mapper})
}

func (s *Session) newREST() (*rest.RESTClient, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.UnversionedRESTClientFor(cfg)
}

// Scheme returns all types that Client knows by themselves; it takes others as
// unstructured.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme,
		sourcev1.AddToScheme, kustomizev1.AddToScheme, helmv2.AddToScheme, imagev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}
