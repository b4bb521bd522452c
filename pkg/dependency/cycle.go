package dependency

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxChain bounds how far dependencies are followed in search of a cycle.
const maxChain = 100

// cycle returns the dependencies that lead from an object back to it, "" if none do.
func (g *Gate[T]) cycle(ctx context.Context, obj T) string {
	from := client.ObjectKeyFromObject(obj)
	chain := cycleFrom(from, func(key types.NamespacedName) []types.NamespacedName {
		if key == from {
			return g.dependencies(obj)
		}
		at := newObject[T]()
		if err := g.cache.Get(ctx, key, at); err != nil {
			return nil // what cannot be seen leads nowhere
		}
		return g.dependencies(at)
	})
	names := make([]string, len(chain))
	for i, key := range chain {
		names[i] = key.String()
	}
	return strings.Join(names, " -> ")
}

// cycleFrom returns a chain that begins and ends with from, nil if there is none of
// reasonable length.
func cycleFrom(from types.NamespacedName, next func(types.NamespacedName) []types.NamespacedName) []types.NamespacedName {
	seen := make(map[types.NamespacedName]bool)
	var walk func(chain []types.NamespacedName) []types.NamespacedName
	walk = func(chain []types.NamespacedName) []types.NamespacedName {
		for _, key := range next(chain[len(chain)-1]) {
			if key == from {
				return append(chain, key)
			}
			if seen[key] || len(chain) > maxChain {
				continue
			}
			seen[key] = true
			if found := walk(append(chain, key)); found != nil {
				return found
			}
		}
		return nil
	}
	return walk([]types.NamespacedName{from})
}
