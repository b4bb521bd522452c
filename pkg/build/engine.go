package build

import (
	"fmt"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomizeDir runs kustomize on a directory of files. ownSchema says that a kustomization there
// brings an OpenAPI schema.
func kustomizeDir(files *fileSystem, dir string, ownSchema bool) (made resmap.ResMap, err error) {
	defer schema.lock(ownSchema)()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize cannot build this: %v", r)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionNone,
		LoadRestrictions: types.LoadRestrictionsNone, // files ends at the root of the source
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(files, absolute(dir))
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
