package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/install"
)

const (
	// restartPause is the time between the end of a program and its next start, which
	// doubles each time up to restartPauseMax. It begins anew with a program that ran for
	// restartForget.
	restartPause    = time.Second
	restartPauseMax = 30 * time.Second
	restartForget   = 10 * time.Minute
)

// Kubelet runs on this machine what Deployments of the toolkit have in their Pods: the
// program that the image is named after, by its arguments and its environment, as its
// ServiceAccount. The nodes of the control plane are simulated and run nothing; so this
// is what shows that manifests start programs, and with enough rights.
//
// What cannot be as in a cluster is put after the arguments: addresses, which are of the
// loopback interface, and folders, which are those of the stack. Of the environment of this
// process a program gets where programs and authorities are, and nothing else.
type Kubelet struct {
	stack     *Stack
	namespace string
	log       *slog.Logger
	file      *os.File
	stop      context.CancelFunc
	ended     chan struct{}

	mu      sync.Mutex
	pods    map[types.NamespacedName]*pod
	running sync.WaitGroup
}

// pod is what runs of one Deployment, or is about to.
type pod struct {
	template string // what it was made of; "" once it is no longer wanted
	cancel   context.CancelFunc
	done     chan struct{}
	program  *Program // the one that runs; nil before, and between two
}

// StartKubelet runs what the Deployments of a namespace say that are labelled as parts of the
// toolkit, and follows their changes until the stack is stopped. No namespace means all.
// What it does is in kubelet.log, in the folder of the stack; what a program prints, in the
// log of the name of its Deployment.
func (s *Stack) StartKubelet(ctx context.Context, namespace string) (*Kubelet, error) {
	file, err := os.OpenFile(filepath.Join(s.dir, "kubelet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &Kubelet{
		stack: s, namespace: namespace, file: file, log: slog.New(slog.NewTextHandler(file, nil)), stop: stop,
		ended: make(chan struct{}), pods: make(map[types.NamespacedName]*pod),
	}
	s.kubelet = k
	go func() {
		defer close(k.ended)
		k.run(ctx)
	}()
	return k, nil
}

// Stop ends all programs. It may be called again.
func (k *Kubelet) Stop() error {
	k.stop()
	<-k.ended
	if err := k.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Program returns what runs of a Deployment; nil while nothing does.
func (k *Kubelet) Program(namespace, deployment string) *Program {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.pods[types.NamespacedName{Namespace: namespace, Name: deployment}]; p != nil {
		return p.program
	}
	return nil
}

// run follows the Deployments until ctx ends, and waits for the programs.
func (k *Kubelet) run(ctx context.Context) {
	defer k.running.Wait()
	for ctx.Err() == nil {
		if err := k.follow(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("following Deployments", "error", err)
		}
		pause(ctx, restartPause) // a watch may also end well, and at once
	}
}

// follow acts on what there is, and on each change until the watch ends.
func (k *Kubelet) follow(ctx context.Context) error {
	part, in := client.MatchingLabels{install.LabelPartOf: install.PartOf}, client.InNamespace(k.namespace)
	var list appsv1.DeploymentList
	if err := k.stack.Client.List(ctx, &list, part, in); err != nil {
		return err
	}
	there := make(map[types.NamespacedName]bool)
	for _, d := range list.Items {
		there[client.ObjectKeyFromObject(&d)] = true
		k.deploy(ctx, &d)
	}
	k.mu.Lock()
	for name := range k.pods {
		if !there[name] {
			k.remove(name)
		}
	}
	k.mu.Unlock()
	w, err := k.stack.Client.Watch(ctx, &appsv1.DeploymentList{}, part, in, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		return err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		d, ok := event.Object.(*appsv1.Deployment)
		switch {
		case !ok:
			return fmt.Errorf("the watch ends with %T", event.Object) // and is begun anew
		case event.Type == watch.Deleted:
			k.mu.Lock()
			k.remove(client.ObjectKeyFromObject(d))
			k.mu.Unlock()
		default:
			k.deploy(ctx, d)
		}
	}
	return nil
}

// deploy has what a Deployment says run in place of what it said before.
func (k *Kubelet) deploy(ctx context.Context, d *appsv1.Deployment) {
	name := client.ObjectKeyFromObject(d)
	template, err := json.Marshal(d.Spec.Template)
	if err != nil {
		k.log.Error("reading a Deployment", "name", name, "error", err)
		return
	}
	stopped := d.Spec.Replicas != nil && *d.Spec.Replicas == 0
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.pods[name]
	if stopped {
		k.remove(name)
		return
	}
	if before != nil && before.template == string(template) {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &pod{template: string(template), cancel: cancel, done: make(chan struct{})}
	k.pods[name] = p
	if before != nil {
		before.cancel()
	}
	k.running.Go(func() {
		defer close(p.done)
		if before != nil {
			<-before.done // two would work on the same
		}
		k.supervise(ctx, p, d)
	})
}

// remove ends what runs of a Deployment. It is still known, since what comes next waits for
// its end. The lock is held.
func (k *Kubelet) remove(name types.NamespacedName) {
	if p := k.pods[name]; p != nil {
		p.cancel()
		p.template = ""
	}
}

// supervise runs a program until ctx ends, and again whenever it ends by itself.
func (k *Kubelet) supervise(ctx context.Context, p *pod, d *appsv1.Deployment) {
	var wait time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		program, err := k.start(ctx, d)
		if err != nil {
			k.log.Error("starting a program", "deployment", d.Name, "error", err)
		} else {
			k.log.Info("started", "deployment", d.Name, "pid", program.PID())
			k.now(p, program)
			k.untilOver(ctx, d.Name, program)
			k.now(p, nil)
		}
		wait = nextPause(wait, time.Since(began))
		pause(ctx, wait)
	}
}

// untilOver waits for the end of a program, and sees to it when ctx ends.
func (k *Kubelet) untilOver(ctx context.Context, deployment string, program *Program) {
	select {
	case <-ctx.Done():
		if err := program.Stop(); err != nil {
			k.log.Error("stopping a program", "deployment", deployment, "error", err)
		}
	case <-program.Ended():
		k.log.Error("a program ended", "deployment", deployment, "error", program.err)
	}
}

// nextPause returns how long to wait after a program that ran for a time, where the last
// pause was so long.
func nextPause(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= restartForget {
		return restartPause
	}
	return min(2*last, restartPauseMax)
}

func (k *Kubelet) now(p *pod, program *Program) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.program = program
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// start starts the program of a Deployment.
func (k *Kubelet) start(ctx context.Context, d *appsv1.Deployment) (*Program, error) {
	if len(d.Spec.Template.Spec.Containers) == 0 {
		return nil, fmt.Errorf("no container in Deployment %s", d.Name)
	}
	c := d.Spec.Template.Spec.Containers[0]
	program := programOf(c.Image)
	dir := filepath.Join(k.stack.dir, "pods", d.Namespace, d.Name)
	temp := filepath.Join(dir, "tmp")
	storage := filepath.Join(dir, "data")
	for _, folder := range []string{temp, storage} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	kubeconfig, err := k.stack.accountKubeconfig(ctx, d.Namespace, d.Spec.Template.Spec.ServiceAccountName, dir)
	if err != nil {
		return nil, err
	}
	env := environment(c, d.Namespace)
	for name, value := range env {
		env[name] = moved(value, "/tmp", temp)
	}
	args := expand(c.Args, env)
	args = append(args, onThisMachine(args, storage)...)
	variables := append(ofThisMachine(os.Environ()), "HOME="+temp, "TMPDIR="+temp, "KUBECONFIG="+kubeconfig)
	for name, value := range env {
		variables = append(variables, name+"="+value)
	}
	return k.stack.execute(ctx, d.Name, program, args, variables)
}

// moved returns a path with another folder in the place of one that it is, or is in.
func moved(path, from, to string) string {
	if rest, in := strings.CutPrefix(path, from); in && (rest == "" || rest[0] == '/') {
		return to + rest
	}
	return path
}

// ofThisMachine returns those variables of a process that say what an image has: where
// programs and the certificates of authorities are. All others are of the person who runs
// it, whose tokens are nothing to act by.
func ofThisMachine(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name != "PATH" && name != "SSL_CERT_FILE" && name != "SSL_CERT_DIR"
	})
}

// programOf returns the last part of the name of an image.
func programOf(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// onThisMachine returns the arguments that stand in for those of a cluster: of two, the
// last counts.
func onThisMachine(args []string, storage string) []string {
	out := []string{"--metrics-addr=0", "--health-addr=0", "--events-addr="}
	for _, arg := range args {
		switch name, _, _ := strings.Cut(arg, "="); name {
		case "--storage-path":
			out = append(out, "--storage-path="+storage)
		case "--storage-adv-addr": // who has one, serves
			out = append(out, "--storage-addr=127.0.0.1:0", "--storage-adv-addr=")
		}
	}
	return out
}
