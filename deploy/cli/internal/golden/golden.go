// Package golden tests what commands print, by scripts, on a real API server with the real
// controllers. Only tests import it.
//
// A script is a file testdata/NAME.txtar, of which the comment has commands, and the rest
// are files that they use: manifests, content of repositories, expected outputs. Each runs
// in a namespace of its own, which has the name of the script and is the default of weir.
// `go test -update` writes the outputs that are compared by cmp anew. Beside the commands
// of testscript there are:
//
//	weir ARGS…                runs the command; `! weir` expects that it fails
//	exits CODE                compares the exit code of the last weir
//	input FILE                is what the next weir reads
//	follow ARGS…              runs weir in the background, until end
//	until REGEXP              waits until what follow printed matches
//	end                       ends what follow started; what it printed is stdout
//	apply FILE…               applies manifests, as a user of kubectl
//	patch KIND/NAME FILE      changes an object by a merge patch, as kubectl-edit
//	delete KIND/NAME          deletes an object and waits until it is gone
//	await KIND/NAME STATE     waits until it is ready, failed or suspended, or exists
//	commit REPO FOLDER        makes a commit of the files of a folder; the revision is $REVISION
//	chart NAME VERSION FOLDER publishes a version of a chart
//	image NAME TAG…           pushes images
//
// Files and arguments may name $GIT, where repositories are (REPO is $GIT/REPO.git), $CHARTS,
// the Helm repository, $REGISTRY, a host, $NAMESPACE and $WORK, the folder of the files. What
// differs from run to run is replaced in outputs: ports, times, ages, uids, that folder.
package golden

import (
	"context"
	"flag"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

// update is a flag of all tests that have scripts.
var update = flag.Bool("update", false, "write the outputs that scripts expect")

// Command is the command under test.
type Command func(ctx context.Context, s *session.Session, args []string) int

// World is what scripts run in.
type World struct {
	*stack.Stack
	// Charts is the Helm repository.
	Charts *stack.Charts
	// Registry is the address of a registry.
	Registry string

	command Command
	cache   string // of discovery
}

// Start starts a control plane of the test's own, servers for sources, and all controllers.
// They end with the test.
func Start(t *testing.T, command Command) *World {
	t.Helper()
	bin := filepath.Join(testplane.Root(t), "bin")
	all, err := stack.New(t.TempDir(), bin)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Stack: all, command: command, cache: t.TempDir()}
	t.Cleanup(func() {
		if err := all.Stop(); err != nil {
			t.Errorf("stopping the controllers: %v", err)
		}
	})
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	w.Registry = strings.TrimPrefix(images.URL, "http://")
	if err := w.start(t.Context()); err != nil {
		t.Fatalf("starting what scripts run in: %v", err)
	}
	return w
}

func (w *World) start(ctx context.Context) error {
	if err := w.StartPlane(ctx); err != nil {
		return err
	}
	if err := w.StartGit(ctx); err != nil {
		return err
	}
	var err error
	if w.Charts, err = w.StartCharts(ctx); err != nil {
		return err
	}
	if err := w.InstallAPI(ctx, session.DefaultNamespace); err != nil {
		return err
	}
	env := "RUNTIME_NAMESPACE=" + session.DefaultNamespace
	for _, start := range []func(context.Context, ...string) (*stack.Program, error){
		w.SourceController, w.KustomizeController, w.HelmController, w.ImageController,
	} {
		if _, err := start(ctx, env); err != nil {
			return err
		}
	}
	return nil
}

// Run runs the scripts of a folder, in parallel.
func Run(t *testing.T, dir string, command Command) {
	t.Helper()
	w := Start(t, command)
	testscript.Run(t, testscript.Params{
		Dir: dir, Setup: w.setup, Cmds: w.commands(), UpdateScripts: *update,
		RequireUniqueNames: true,
	})
}

// run is what is known of one script.
type run struct {
	world        *World
	namespace    string
	repositories map[string]*gitserver.Repo
	code         int // of the last weir
	input        string
	followed     *followed
}

// runKey is where a script has its run.
type runKey struct{}

// setup makes the namespace of a script.
func (w *World) setup(env *testscript.Env) error {
	name := filepath.Base(env.WorkDir)
	name = strings.TrimPrefix(name, "script-")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.Client.Create(context.Background(), ns); err != nil {
		return err
	}
	// Repositories are beside this one.
	_, url, err := w.Repository(name + "/empty")
	if err != nil {
		return err
	}
	env.Values[runKey{}] = &run{world: w, namespace: name, repositories: make(map[string]*gitserver.Repo)}
	env.Vars = append(env.Vars,
		"NAMESPACE="+name, "FLUX_SYSTEM_NAMESPACE="+name,
		"GIT="+strings.TrimSuffix(url, "/empty.git"), "CHARTS="+w.Charts.URL, "REGISTRY="+w.Registry, "KUBECONFIG="+w.Kubeconfig,
	)
	return nil
}

// named are the variables that files may name. All other dollars are theirs.
var named = regexp.MustCompile(`\$(GIT|CHARTS|REGISTRY|NAMESPACE|WORK|REVISION)\b`)

// expand replaces what files may name.
func (r *run) expand(ts *testscript.TestScript, text string) string {
	return named.ReplaceAllStringFunc(text, func(name string) string { return ts.Getenv(name[1:]) })
}
