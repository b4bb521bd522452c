package main

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
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/crds"
	"weir.dev/pkg/gitserver"
)

// stopGrace is how long a controller may take to end.
const stopGrace = 10 * time.Second

// world is everything that runs during the demo.
type world struct {
	dir, bin   string
	kubeconfig string
	gitURL     string
	repo       *gitserver.Repo
	client     client.WithWatch

	programs []*exec.Cmd
	git      *http.Server
}

// start brings up the plane, the git server and the controllers. What it returns
// must be stopped even if there is an error.
func start(ctx context.Context, dir, bin string) (*world, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, bin: bin}
	if err := w.clear(ctx); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"a Kubernetes control plane", w.startPlane},
		{"a git server", w.startGit},
		{"the API of weir", w.installAPI},
		{"source-controller and kustomize-controller", w.startControllers},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return w, fmt.Errorf("starting %s: %w", step.what, err)
		}
		fmt.Fprintf(os.Stdout, "started %s (%s)\n", step.what, short(time.Since(began)))
	}
	return w, nil
}

// clear removes what an earlier demo left, which may still run.
func (w *world) clear(ctx context.Context) error {
	if _, err := os.Stat(w.plane()); err == nil {
		if err := w.localplane(ctx, "down", "--delete"); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(w.dir); err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Join(w.dir, "artifacts"), 0o755), os.MkdirAll(filepath.Join(w.dir, "git"), 0o755))
}

func (w *world) plane() string { return filepath.Join(w.dir, "plane") }

// localplane runs a verb of bin/localplane on the plane of the demo.
func (w *world) localplane(ctx context.Context, verb string, flags ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "localplane"), append([]string{verb, "--dir", w.plane()}, flags...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("localplane %s: %w: %s", verb, err, complaint.String())
	}
	w.kubeconfig = strings.TrimSpace(out.String())
	return nil
}

func (w *world) startPlane(ctx context.Context) error {
	if err := w.localplane(ctx, "up"); err != nil {
		return err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", w.kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, sourcev1.AddToScheme, kustomizev1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	w.client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	return err
}

func (w *world) startGit(context.Context) error {
	root := filepath.Join(w.dir, "git")
	repo, err := gitserver.Init(root, "my-app")
	if err != nil {
		return err
	}
	w.repo = repo
	handler, err := gitserver.NewHandler(root, gitserver.Options{Push: true})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.git = &http.Server{Handler: handler, ReadHeaderTimeout: stopGrace}
	go func() { _ = w.git.Serve(l) }() // ends when stop closes it
	w.gitURL = "http://" + l.Addr().String() + "/my-app.git"
	return nil
}

// installAPI creates the CRDs and the namespace, and waits until they are served.
func (w *world) installAPI(ctx context.Context) error {
	files, err := crds.FS.ReadDir(".")
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := crds.FS.ReadFile(f.Name())
		if err != nil {
			return err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, crd); err != nil {
			return err
		}
		if err := w.client.Create(ctx, crd); err != nil {
			return err
		}
		if err := w.until(ctx, crd, func() bool { return established(crd) }); err != nil {
			return err
		}
	}
	return w.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
			return true
		}
	}
	return false
}

// startControllers starts the programs that users install, each as a process.
func (w *world) startControllers(ctx context.Context) error {
	none := []string{"--metrics-addr=0", "--health-addr=0"}
	err := w.program(ctx, "source-controller", append(none, "--storage-path="+filepath.Join(w.dir, "artifacts"), "--storage-addr=127.0.0.1:0")...)
	return errors.Join(err, w.program(ctx, "kustomize-controller", none...))
}

func (w *world) program(ctx context.Context, name string, args ...string) error {
	log, err := os.Create(filepath.Join(w.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(w.bin, name), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on, in order
	if err := cmd.Start(); err != nil {
		return err
	}
	w.programs = append(w.programs, cmd)
	return nil
}

// stop ends everything, in the reverse order.
func (w *world) stop() error {
	var errs []error
	for i := len(w.programs) - 1; i >= 0; i-- {
		p := w.programs[i]
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", p.Path, err))
		}
		kill := time.AfterFunc(stopGrace, func() { _ = p.Process.Kill() })
		_ = p.Wait() // however it ends, it is over
		kill.Stop()
	}
	if w.git != nil {
		errs = append(errs, w.git.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := os.Stat(w.plane()); err == nil {
		errs = append(errs, w.localplane(ctx, "down"))
	}
	return errors.Join(errs...)
}
