package kustomization

import (
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/artifact/fetch"
	"weir.dev/pkg/build"
	"weir.dev/pkg/correction"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// scope is what one run knows.
type scope struct {
	ks     *kustomizev1.Kustomization
	owner  types.NamespacedName
	memory *memory
	start  time.Time
	woken  time.Time // when a watch asked for this run; zero if none did

	expressions *expressions // by compileExpressions

	artifact  *meta.Artifact    // by findSource
	variables map[string]string // by readVariables
	decrypter build.Decrypter   // by readKeys; nil if nothing is decrypted
	keys      string            // by readKeys: identifies those of decrypter
	tree      *fetch.Tree       // by build, unless nothing in it can matter
	result    build.Result      // by build
	at        *tenant.Place     // by enterPlace: where the objects are
	plan      apply.Plan        // by plan
	before    inventory.Set     // by plan: what was applied by earlier runs
}

func (s *scope) revision() string { return s.artifact.Revision }

// origin is what the artifact was made of, if it tells.
func (s *scope) origin() string { return s.artifact.Metadata[metaOrigin] }

// sinceWoken is how long ago a watch asked for this run; zero if none did.
func (s *scope) sinceWoken() time.Duration {
	if s.woken.IsZero() {
		return 0
	}
	return time.Since(s.woken)
}

func (s *scope) close() {
	if s.tree != nil {
		s.tree.Release()
	}
}

// memory is what is kept of a Kustomization between runs. Only one run of an
// object is under way at a time, so only what others ask for needs the lock.
type memory struct {
	spec     string // digest of the build.Spec that result was made by
	artifact string // digest of the artifact that result was made of, or is valid for
	result   build.Result
	err      error // why the build failed

	prepared    *apply.Prepared // the objects of result, which then has none; nil if it is new
	preparedFor int64           // generation

	expressions *expressions

	mu    sync.Mutex
	reads build.ReadSet // of result, for the dispatcher
	heard news          // what the source last told

	waitFor   string    // what is waited for: revision and generation
	waitSince time.Time // since when
	unhealthy string    // what was waited for in vain

	pruned inventory.Set // what was deleted with a Kustomization that goes; nil before

	timings timings

	origin string // what the artifact was made of, if it tells

	// What the last run did, for its events.
	changes  []apply.Change
	restored []correction.Finding
	took     time.Duration
	left     string // why objects of one that goes are left
}

// begin forgets what the last run did.
func (m *memory) begin() { m.changes, m.restored, m.took, m.left = nil, nil, 0, "" }

// built keeps the outcome of a build, with the objects as they are applied.
func (m *memory) built(result build.Result, err error) {
	for i, obj := range result.Objects {
		result.Objects[i] = manifest.Normalise(obj)
	}
	m.result, m.err, m.prepared = result, err, nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads = result.Reads
}

// objects returns those of the last build.
func (m *memory) objects() ([]*unstructured.Unstructured, error) {
	if m.prepared != nil {
		return m.prepared.Objects()
	}
	return m.result.Objects, nil
}

// unaffected reports whether a build of tree would read what the last one did.
func (m *memory) unaffected(tree build.Source) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads.Unchanged(tree)
}

// hear notes that the source tells of a revision.
func (m *memory) hear(revision string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = news{revision: revision, at: at}
}

// heardOf returns when the source told of a revision, and otherwise if it did not.
func (m *memory) heardOf(revision string, otherwise time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard.revision != revision {
		return otherwise
	}
	return m.heard.at
}

// news is that a source has a revision.
type news struct {
	revision string
	at       time.Time
}

// memories holds the memory of each Kustomization.
type memories struct {
	mu    sync.Mutex
	byUID map[types.UID]*memory
}

func (m *memories) of(uid types.UID) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.byUID[uid]; !ok {
		m.byUID[uid] = &memory{}
	}
	return m.byUID[uid]
}

func (m *memories) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byUID, uid)
}
