package golden

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/pkg/gitserver"
)

const (
	waitTimeout = 2 * time.Minute
	lookEvery   = 20 * time.Millisecond
)

// eventually waits until ok holds.
func (r *run) eventually(ts *testscript.TestScript, what string, ok wait.ConditionWithContextFunc) {
	if err := poll(ok); err != nil {
		ts.Fatalf("waiting until %s: %v", what, err)
	}
}

// poll waits until ok holds.
func poll(ok wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextTimeout(context.Background(), lookEvery, waitTimeout, true, ok)
}

func applyFiles(r *run, ts *testscript.TestScript, args []string) {
	for _, file := range args {
		decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(r.expand(ts, ts.ReadFile(file))), 4096)
		for {
			obj := &unstructured.Unstructured{}
			err := decoder.Decode(&obj.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			ts.Check(err)
			if obj.Object == nil {
				continue
			}
			if obj.GetNamespace() == "" {
				obj.SetNamespace(r.namespace)
			}
			ts.Check(r.world.Client.Apply(context.Background(), client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("kubectl"), client.ForceOwnership))
		}
	}
}

// object returns what KIND/NAME names, as it is: without a UID if it does not exist.
func (r *run) object(ts *testscript.TestScript, ref string) *unstructured.Unstructured {
	at := strings.LastIndex(ref, "/")
	if at < 0 {
		ts.Fatalf("%q is not of the form KIND/NAME", ref)
	}
	kind, name := ref[:at], ref[at+1:]
	obj := &unstructured.Unstructured{}
	if k, known := kinds.Find(kind); known {
		obj.SetGroupVersionKind(k.GVK)
	} else {
		gvk, err := r.world.Client.RESTMapper().KindFor(schema.GroupVersionResource{Resource: strings.ToLower(kind)})
		ts.Check(err)
		obj.SetGroupVersionKind(gvk)
	}
	obj.SetNamespace(r.namespace)
	obj.SetName(name)
	return obj
}

func patch(r *run, ts *testscript.TestScript, args []string) {
	data, err := yaml.YAMLToJSON([]byte(r.expand(ts, ts.ReadFile(args[1]))))
	ts.Check(err)
	ts.Check(r.world.Client.Patch(context.Background(), r.object(ts, args[0]), client.RawPatch(types.MergePatchType, data), client.FieldOwner("kubectl-edit")))
}

func deleteObject(r *run, ts *testscript.TestScript, args []string) {
	obj := r.object(ts, args[0])
	ts.Check(r.world.Client.Get(context.Background(), client.ObjectKeyFromObject(obj), obj))
	uid := obj.GetUID()
	ts.Check(r.world.Client.Delete(context.Background(), obj))
	r.eventually(ts, args[0]+" is gone", func(ctx context.Context) (bool, error) {
		err := r.world.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		return apierrors.IsNotFound(err) || err == nil && obj.GetUID() != uid, nil // a controller may have put it back
	})
}

func waitFor(r *run, ts *testscript.TestScript, args []string) {
	obj := r.object(ts, args[0])
	r.eventually(ts, args[0]+" is "+args[1], func(ctx context.Context) (bool, error) {
		if err := r.world.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		return is(obj, args[1])
	})
}

// is reports whether an object is in a state.
func is(obj *unstructured.Unstructured, state string) (bool, error) {
	o, err := kinds.Read(obj)
	if err != nil {
		return false, err
	}
	ready, found := o.Condition("Ready")
	current := found && ready.ObservedGeneration == obj.GetGeneration()
	switch state {
	case "exists":
		return true, nil
	case "suspended":
		return o.Spec.Suspend, nil
	case "ready":
		return current && ready.Status == "True", nil
	case "failed":
		return current && ready.Status == "False", nil
	}
	return false, fmt.Errorf("there is no state %q to wait for", state)
}

func commit(r *run, ts *testscript.TestScript, args []string) {
	repo := r.repositories[args[0]]
	if repo == nil {
		var err error
		repo, _, err = r.world.Repository(r.namespace + "/" + args[0])
		ts.Check(err)
		r.repositories[args[0]] = repo
	}
	files := folder(ts, args[1])
	for file, content := range files {
		files[file] = r.expand(ts, content)
	}
	revision, err := repo.Commit("main", "Change "+args[1], gitserver.Files(files)...)
	ts.Check(err)
	ts.Setenv("REVISION", revision)
}

func publishChart(r *run, ts *testscript.TestScript, args []string) {
	ts.Check(r.world.Charts.Publish(args[0], args[1], folder(ts, args[2])))
}

// folder returns the files of a folder by their paths in it.
func folder(ts *testscript.TestScript, dir string) map[string]string {
	root := os.DirFS(ts.MkAbs(dir))
	files := make(map[string]string)
	ts.Check(fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, path)
		files[path] = string(data)
		return err
	}))
	return files
}

func pushImages(r *run, ts *testscript.TestScript, args []string) {
	for _, tag := range args[1:] {
		ref, err := name.ParseReference(r.world.Registry+"/"+args[0]+":"+tag, name.Insecure)
		ts.Check(err)
		ts.Check(remote.Write(ref, empty.Image))
	}
}
