package build

import (
	"fmt"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// A JSON patch that copies a value into itself doubles it each time. The library has a limit for
// that, which only can be set for all that use it.
func init() { jsonpatch.AccumulatedCopySizeLimit = 8 << 20 }

// kustomize builds what was checked, from the files that it is to see.
func (g *graph) kustomize(root *kustomization, files map[string][]byte) (made resmap.ResMap, err error) {
	defer schema.lock(g.ownSchema)()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize cannot build this: %v", r)
		}
	}()
	order := krusty.ReorderOptionNone
	if root.SortOptions != nil {
		order = krusty.ReorderOptionUnspecified // else kustomize warns that there are two
	}
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          order,
		LoadRestrictions: types.LoadRestrictionsNone, // the file system ends at the root of the source
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(newFileSystem(g, files), absolute(root.dir))
}

// schema guards the OpenAPI schema, of which kustomize has one in a process.
var schema schemaGuard

type schemaGuard struct {
	mu     sync.RWMutex
	parsed bool // and as kustomize comes with it
	parses int
}

// lock holds off builds that change the schema or, if this one does, all builds. It returns the
// function to call when the build is done.
func (s *schemaGuard) lock(change bool) (unlock func()) {
	if change {
		s.mu.Lock()
		openapi.ResetOpenAPI() // kustomize adds to what is there
		s.parsed = false
		return func() {
			openapi.ResetOpenAPI()
			s.mu.Unlock()
		}
	}
	for {
		s.mu.RLock()
		if s.parsed {
			return s.mu.RUnlock
		}
		s.mu.RUnlock()
		s.parse()
	}
}

// parse makes kustomize parse its schema. It would do so itself when it needs it, but while other
// builds read.
func (s *schemaGuard) parse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.parsed {
		openapi.Schema()
		s.parsed = true
		s.parses++
	}
}
