package build

import (
	"errors"
	"io/fs"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadSet(t *testing.T) {
	src := newMemory(map[string]string{
		"app/plain/a.yaml":                 configMap,
		"app/plain/README.md":              "text",
		"app/plain/sub/own/Kustomization":  "namePrefix: x-\nresources: [b.yaml]\n",
		"app/plain/sub/own/b.yaml":         configMap,
		"app/plain/sub/own/unlisted.yaml":  configMap,
		"app/overlay/kustomization.yml":    "resources: [../base]\npatchesStrategicMerge: [p.yaml]\n",
		"app/overlay/p.yaml":               configMap + "data: {a: b}\n",
		"app/base/kustomization.yaml":      "resources: [cm.yaml]\nsecretGenerator: [{name: s, files: [../../shared/key]}]\n",
		"app/base/cm.yaml":                 configMap,
		"app/broken/kustomization.yaml":    "resources: [gone.yaml]\n",
		"app/malformed/kustomization.yaml": "resources: [cm.yaml]\n",
		"app/malformed/cm.yaml":            "a: [\n",
		"shared/key":                       "key",
		"shared/other":                     "other",
	})
	tests := map[string]struct {
		why     string
		path    string
		changes map[string]string
		same    bool
	}{
		"nothing":                          {why: "the same tree", path: "app/plain", same: true},
		"a file that is built":             {why: "its content counts", path: "app/plain", changes: map[string]string{"app/plain/a.yaml": configMap + "data: {}\n"}},
		"a file that is not built":         {why: "only its name is in the listing", path: "app/plain", changes: map[string]string{"app/plain/README.md": "more"}, same: true},
		"a new file":                       {why: "it would be built", path: "app/plain", changes: map[string]string{"app/plain/c.yaml": configMap}},
		"a new file further below":         {why: "it would be built", path: "app/plain", changes: map[string]string{"app/plain/sub/c.yaml": configMap}},
		"a new kustomization":              {why: "it would be built instead", path: "app/plain", changes: map[string]string{"app/plain/kustomization.yaml": "namePrefix: y-\n"}},
		"a new kustomization below":        {why: "it would decide what is built", path: "app/plain", changes: map[string]string{"app/plain/sub/kustomization.yaml": "namePrefix: y-\n"}},
		"a directory elsewhere":            {why: "this is what saves the work", path: "app/plain", changes: map[string]string{"app/base/cm.yaml": "x", "new/x": "y"}, same: true},
		"an unlisted file of a nested one": {why: "its kustomization does not list it", path: "app/plain", changes: map[string]string{"app/plain/sub/own/unlisted.yaml": ""}, same: true},
		"a base":                           {why: "it is built too", path: "app/overlay", changes: map[string]string{"app/base/cm.yaml": configMap + "data: {}\n"}},
		"a generated secret":               {why: "its content is in the object", path: "app/overlay", changes: map[string]string{"shared/key": "other"}},
		"a file beside it":                 {why: "it is not read", path: "app/overlay", changes: map[string]string{"shared/other": "x", "app/overlay/new.yaml": "x"}, same: true},
		"a second kustomization file":      {why: "that is an error", path: "app/overlay", changes: map[string]string{"app/overlay/kustomization.yaml": "namePrefix: y-\n"}},
		"a patch goes":                     {why: "that is an error", path: "app/overlay", changes: map[string]string{"app/overlay/p.yaml": ""}},
		"a file becomes a directory":       {why: "that is an error", path: "app/overlay", changes: map[string]string{"app/base/cm.yaml": "", "app/base/cm.yaml/x": "y"}},
		"a missing path appears":           {why: "a missing path is a finding", path: "app/gone", changes: map[string]string{"app/gone/a.yaml": configMap}},
		"a missing resource appears":       {why: "a failure is only final for this tree", path: "app/broken", changes: map[string]string{"app/broken/gone.yaml": configMap}},
		"a missing resource stays":         {why: "and only depends on what it read", path: "app/broken", changes: map[string]string{"app/base/cm.yaml": ""}, same: true},
		"a malformed resource is mended":   {why: "a failure is only final for this tree", path: "app/malformed", changes: map[string]string{"app/malformed/cm.yaml": configMap}},
		"all goes":                         {why: "a file in the place of a directory above", path: "app/plain", changes: map[string]string{"app": "file"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			changed := src.with(tc.changes)
			if changed.MapFS["app"] != nil {
				changed = newMemory(map[string]string{"app": "file"})
			}
			got, _ := Run(src, Spec{Path: tc.path}, nil)
			if same := got.Reads.Unchanged(changed); same != tc.same {
				t.Errorf("Unchanged() = %v (%s); it read %q", same, tc.why, got.Reads.Paths())
			}
		})
	}
	if (ReadSet{}).Unchanged(src) {
		t.Error("without a build, nothing is known to be unchanged")
	}
}

// A component that is left out because it does not exist is a finding, too.
func TestMissingComponentAppears(t *testing.T) {
	src := newMemory(map[string]string{"app/cm.yaml": configMap, "parts/README.md": "text"})
	spec := Spec{Path: "app", Components: []string{"../parts/one"}, IgnoreMissingComponents: true}
	got, err := Run(src, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	if beside := src.with(map[string]string{"parts/two/kustomization.yaml": "x"}); !got.Reads.Unchanged(beside) {
		t.Error("another component is said to matter")
	}
	with := src.with(map[string]string{"parts/one/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: pre-\n"})
	if got.Reads.Unchanged(with) {
		t.Errorf("the component is said not to matter; it read %q", got.Reads.Paths())
	}
	if got, err = Run(with, spec, nil); err != nil || got.Objects[0].GetName() != "pre-cm" {
		t.Errorf("with the component: %v, %v", got.Objects, err)
	}
	if got.Reads.Unchanged(src) {
		t.Error("that the component goes is said not to matter")
	}
}

// Whatever changes in a tree: if the reads of a build say that it does not matter, then it does not.
func TestUnchangedMeansTheSameResult(t *testing.T) {
	cases := buildCases(t)
	cases["fleet"] = buildCase{src: diskSource(t, "testdata/fleet"), spec: Spec{Path: "apps/overlay"}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before, err := Run(tc.src, tc.spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			skipped := 0
			for _, change := range changesOf(t, tc.src) {
				changed := tc.src.with(change)
				if !before.Reads.Unchanged(changed) {
					continue
				}
				skipped++
				after, err := Run(changed, tc.spec, nil)
				if err != nil || after.Digest != before.Digest || !cmp.Equal(after.Reads.Paths(), before.Reads.Paths()) {
					t.Errorf("%q changed the build: %s, %v", change, after.Digest, err)
				}
			}
			t.Logf("%d of the changes do not matter", skipped)
		})
	}
}

// changesOf returns single changes of a tree: each file edited and removed, and files of all names
// that mean something added to each directory.
func changesOf(t *testing.T, src *memory) []map[string]string {
	t.Helper()
	var changes []map[string]string
	err := fs.WalkDir(src, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			content := string(src.MapFS[name].Data)
			changes = append(changes, map[string]string{name: content + "\nadded: to it\n"}, map[string]string{name: ""})
			return nil
		}
		for _, base := range []string{"zz.yaml", "zz.txt", "Kustomization", "kustomization.yml", "kustomization.yaml", "zz/kustomization.yaml", "zz/zz.yml"} {
			added := path.Join(name, base)
			if src.MapFS[added] == nil {
				changes = append(changes, map[string]string{added: "namePrefix: zz-\n"})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// A path that cannot be looked at is not taken for missing.
func TestUnreadableSource(t *testing.T) {
	src := &closing{memory: newMemory(map[string]string{"app/cm.yaml": configMap})}
	got, err := Run(src, Spec{Path: "app"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, src.denied = range []string{"app", "app/cm.yaml", "app/kustomization.yaml"} {
		if _, err := Run(src, Spec{Path: "app"}, nil); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s cannot be read: %v", src.denied, err)
		}
	}
	if got.Reads.Unchanged(src) {
		t.Errorf("%s cannot be read, and is said to be unchanged", src.denied)
	}
}

// closing is a source with a path that cannot be read.
type closing struct {
	*memory
	denied string
}

func (c *closing) Stat(name string) (fs.FileInfo, error) {
	if name == c.denied {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrClosed}
	}
	return c.memory.Stat(name)
}
