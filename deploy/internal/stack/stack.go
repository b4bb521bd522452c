// Package stack runs everything that weir needs on this machine: a Kubernetes
// control plane of its own, a git server, a Helm repository, and the controllers as
// processes, each the program that users install.
//
// Everything is below one folder and listens on the loopback interface only.
// Whoever starts something must call Stop, which ends it all in reverse order.
package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/crds"
	"weir.dev/pkg/gitserver"
)

const (
	// stopTimeout bounds the end of the control plane.
	stopTimeout = time.Minute
	// headerTimeout is how long a client of the git server may take to ask.
	headerTimeout = 10 * time.Second
)

// Stack is what runs. Fields are set by the methods that start something.
type Stack struct {
	// Kubeconfig is the path of a file that gives cluster admin.
	Kubeconfig string
	// Config is the same as a connection, without client-side limits.
	Config *rest.Config
	// Client reads and writes as cluster admin, without a cache.
	Client client.WithWatch
	// Controllers is the folder that controllers are taken from: that of the other
	// programs, unless the caller sets another before one starts.
	Controllers string

	dir, bin string
	git      *http.Server
	charts   *http.Server
	kubelet  *Kubelet
	gitURL   string

	mu       sync.Mutex
	programs []*Program
}

// New returns a Stack that keeps everything below dir and takes programs from the
// folder bin. Nothing is started, or removed, yet.
func New(dir, bin string) (*Stack, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	return &Stack{dir: dir, bin: bin, Controllers: bin}, nil
}

// Dir is the folder of everything that the stack makes. The log of each program
// is there.
func (s *Stack) Dir() string { return s.dir }

// Clear removes what an earlier stack left in the folder, which may still run.
func (s *Stack) Clear(ctx context.Context) error {
	if _, err := os.Stat(s.plane()); err == nil {
		if _, err := s.localplane(ctx, "down", "--delete"); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.dir)
}

func (s *Stack) plane() string { return filepath.Join(s.dir, "plane") }

// localplane runs a verb of bin/localplane and returns what it prints.
func (s *Stack) localplane(ctx context.Context, verb string, flags ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "localplane"), append([]string{verb, "--dir", s.plane()}, flags...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("localplane %s: %w: %s", verb, err, complaint.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// StartPlane starts the control plane and connects to it.
func (s *Stack) StartPlane(ctx context.Context) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	kubeconfig, err := s.localplane(ctx, "up")
	if err != nil {
		return err
	}
	return s.Connect(kubeconfig)
}

// APIServer is the part of the control plane that everybody talks to.
const APIServer = "kube-apiserver"

// Component returns the id of the process of a part of the control plane: 0 while it
// does not run.
func (s *Stack) Component(ctx context.Context, name string) (int, error) {
	all, err := s.Components(ctx)
	if err != nil {
		return 0, err
	}
	pid, ok := all[name]
	if !ok {
		return 0, fmt.Errorf("the control plane has no %s", name)
	}
	return pid, nil
}

// PlaneRuns reports whether a control plane runs in the folder, whoever has started it.
func (s *Stack) PlaneRuns(ctx context.Context) bool {
	all, _ := s.Components(ctx) // where there is no plane, there is no status
	for _, pid := range all {
		if pid != 0 {
			return true
		}
	}
	return false
}

// Components returns the ids of the processes of the control plane by their names: 0 for
// one that does not run.
func (s *Stack) Components(ctx context.Context) (map[string]int, error) {
	status, err := s.localplane(ctx, "status")
	if err != nil {
		return nil, err
	}
	all := make(map[string]int)
	for line := range strings.Lines(status) {
		fields := strings.Fields(strings.ReplaceAll(line, ",", " "))
		switch {
		case len(fields) < 3:
		case fields[1] == "pid":
			if all[fields[0]], err = strconv.Atoi(fields[2]); err != nil {
				return nil, fmt.Errorf("status of the control plane: %w", err)
			}
		case fields[1] == "not" && fields[2] == "running":
			all[fields[0]] = 0
		}
	}
	return all, nil
}

// Connect uses a control plane that somebody else has started.
func (s *Stack) Connect(kubeconfig string) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS = -1
	log.SetLogger(logr.Discard()) // else the client complains that nobody has decided
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme,
		sourcev1.AddToScheme, kustomizev1.AddToScheme, helmv2.AddToScheme, imagev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	s.Client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	s.Kubeconfig, s.Config = kubeconfig, cfg
	return err
}

// StartGit serves repositories over smart HTTP, to fetch and to push.
func (s *Stack) StartGit(context.Context) error {
	root := s.repositories()
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	handler, err := gitserver.NewHandler(root, gitserver.Options{Push: true})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.git = &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	go func() { _ = s.git.Serve(l) }() // ends when Stop closes it
	s.gitURL = "http://" + l.Addr().String()
	return nil
}

func (s *Stack) repositories() string { return filepath.Join(s.dir, "git") }

// Repository makes an empty repository on the git server and returns it with its
// URL.
func (s *Stack) Repository(name string) (*gitserver.Repo, string, error) {
	repo, err := gitserver.Init(s.repositories(), name)
	return repo, s.gitURL + "/" + name + ".git", err
}

// InstallAPI creates the CRDs, waits until they are served, and creates the
// namespace of the controllers.
func (s *Stack) InstallAPI(ctx context.Context, namespace string) error {
	all, err := Definitions()
	if err != nil {
		return err
	}
	if err := s.Define(ctx, all...); err != nil {
		return err
	}
	return s.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
}

// Definitions returns the definitions of all custom resources of weir.
func Definitions() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := crds.FS.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := make([]*apiextensionsv1.CustomResourceDefinition, len(files))
	for i, f := range files {
		data, err := crds.FS.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		all[i] = &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, all[i]); err != nil {
			return nil, fmt.Errorf("definition %s: %w", f.Name(), err)
		}
	}
	return all, nil
}

// Define creates definitions and waits until they are served.
func (s *Stack) Define(ctx context.Context, all ...*apiextensionsv1.CustomResourceDefinition) error {
	for _, crd := range all {
		if err := s.Client.Create(ctx, crd); err != nil {
			return err
		}
	}
	for _, crd := range all {
		if err := s.Until(ctx, crd, func() bool { return established(crd) }); err != nil {
			return err
		}
	}
	return nil
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
			return true
		}
	}
	return false
}

// Stop ends everything, in the reverse order of its start.
func (s *Stack) Stop() error {
	var errs []error
	if s.kubelet != nil {
		errs = append(errs, s.kubelet.Stop()) // else it would start again what is stopped
	}
	s.mu.Lock()
	programs := slices.Clone(s.programs)
	s.mu.Unlock()
	for _, p := range slices.Backward(programs) {
		errs = append(errs, p.Stop())
	}
	for _, server := range []*http.Server{s.charts, s.git} {
		if server != nil {
			errs = append(errs, server.Close())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if _, err := os.Stat(s.plane()); err == nil {
		_, err := s.localplane(ctx, "down")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
