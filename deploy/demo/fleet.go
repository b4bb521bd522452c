package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
)

const (
	// fleetPath is the folder of the cluster in the repository.
	fleetPath = "clusters/demo"
	// edited is the controller that gets another argument.
	edited   = "kustomize-controller"
	argument = "--concurrent=7"
)

// patched is the kustomization file of the installation, with a patch.
const patched = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- gotk-components.yaml
- gotk-sync.yaml
patches:
- target: {kind: Deployment, name: ` + edited + `}
  patch: |
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: ` + argument + `
`

// fleet is an empty cluster, an empty repository, and what comes of them.
type fleet struct {
	*stack.Stack
	weir    string // the command
	out     io.Writer
	kubelet *stack.Kubelet
	repo    *gitserver.Repo
	gitURL  string
}

// parts are what there is before anybody installs weir.
func (f *fleet) parts() []part {
	return []part{
		{"a Kubernetes control plane, with nothing in it", f.StartPlane},
		{"a git server, with an empty repository", f.startGit},
		{"what runs the programs of Deployments on this machine, instead of images", f.startKubelet},
	}
}

func (f *fleet) startGit(ctx context.Context) (err error) {
	if err := f.StartGit(ctx); err != nil {
		return err
	}
	f.repo, f.gitURL, err = f.Repository("fleet")
	return err
}

func (f *fleet) startKubelet(ctx context.Context) (err error) {
	f.kubelet, err = f.StartKubelet(ctx, namespace)
	return err
}

// tell goes through the steps.
func (f *fleet) tell(ctx context.Context) error {
	return play(ctx, f.out, []step{
		{"weir bootstrap git: the cluster runs from a commit in the repository, its controllers included", f.bootstrap},
		{"a patch in Git gives " + edited + " an argument, by which it changes itself", f.edit},
		{"weir bootstrap git again: no commit", f.bootstrapAgain},
		{"weir check: all is well", f.check},
	})
}

// bootstrap runs the command on the empty repository.
func (f *fleet) bootstrap(ctx context.Context) (string, error) {
	if head, err := f.repo.Head("main"); err == nil {
		return "", fmt.Errorf("the repository is not empty: it has %s", head)
	}
	said, err := f.run(ctx, f.arguments()...)
	if err != nil {
		return "", err
	}
	head, err := f.repo.Head("main")
	if err != nil {
		return "", err
	}
	return said, f.runsFrom(ctx, head)
}

// arguments are those of weir bootstrap. The git server lets everybody in.
func (f *fleet) arguments() []string {
	return []string{
		"bootstrap", "git", "--url=" + f.gitURL, "--allow-insecure-http", "--token-auth", "--password=none", "--silent",
		"--path=" + fleetPath, "--registry=localhost/weir",
	}
}

// run runs weir, and returns what it says.
func (f *fleet) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, f.weir, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+f.Kubeconfig, "HOME="+f.Dir())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("weir %s: %w\n%s", args[0], err, &said)
	}
	return said.String(), nil
}

// runsFrom waits until the cluster says that it runs from a commit, and that it is well.
func (f *fleet) runsFrom(ctx context.Context, commit string) error {
	ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: namespace}}
	return f.Until(ctx, ks, func() bool {
		return strings.HasSuffix(ks.Status.LastAppliedRevision, commit) && conditions.IsTrue(ks, meta.ReadyCondition)
	})
}

// edit commits a patch, and waits until the process of the controller is another one.
func (f *fleet) edit(ctx context.Context) (string, error) {
	before := f.kubelet.Program(namespace, edited)
	if before == nil {
		return "", errors.New(edited + " does not run")
	}
	commit, err := f.repo.Commit("main", "Let kustomize-controller do more at once", gitserver.File(filepath.Join(fleetPath, namespace, "kustomization.yaml"), patched))
	if err != nil {
		return "", err
	}
	source := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: namespace}}
	if err := ask(ctx, f.Client, source); err != nil { // as a webhook would
		return "", err
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: edited}}
	if err := f.Until(ctx, d, func() bool { return hasArgument(d) }); err != nil {
		return "", err
	}
	var now *stack.Program
	err = stack.Eventually(ctx, func(context.Context) (bool, error) {
		now = f.kubelet.Program(namespace, edited)
		return now != nil && now.PID() != before.PID(), nil
	})
	if err != nil {
		return "", fmt.Errorf("the process of %s: %w", edited, err)
	}
	args, err := argumentsOf(now.PID())
	if err != nil {
		return "", err
	}
	if !slices.Contains(args, argument) {
		return "", fmt.Errorf("process %d runs with %v", now.PID(), args)
	}
	return fmt.Sprintf("commit %.7s: process %d ended, process %d runs with %s", commit, before.PID(), now.PID(), argument), f.runsFrom(ctx, commit)
}

func hasArgument(d *appsv1.Deployment) bool {
	containers := d.Spec.Template.Spec.Containers
	return len(containers) > 0 && slices.Contains(containers[0].Args, argument)
}

// argumentsOf returns the arguments of a process.
func argumentsOf(pid int) ([]string, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return strings.Split(string(data), "\x00"), err
}

// bootstrapAgain runs the command again, which has nothing to do.
func (f *fleet) bootstrapAgain(ctx context.Context) (string, error) {
	before, err := f.repo.Head("main")
	if err != nil {
		return "", err
	}
	said, err := f.run(ctx, f.arguments()...)
	if err != nil {
		return "", err
	}
	after, err := f.repo.Head("main")
	if err == nil && after != before {
		err = fmt.Errorf("there is a commit %s", after)
	}
	return said, err
}

// check has the command look for what is wrong.
func (f *fleet) check(ctx context.Context) (string, error) { return f.run(ctx, "check") }

// invite says how to look around.
func (f *fleet) invite() {
	fmt.Fprintf(f.out, `
The cluster runs from Git. Look around from another terminal:

  export KUBECONFIG=%s
  %s get all -A
  %s tree ks flux-system
  git clone %s     # change %s/, push it, and see

Logs are in %s. Ctrl-C ends it all.
`, f.Kubeconfig, f.weir, f.weir, f.gitURL, fleetPath, f.Dir())
}
