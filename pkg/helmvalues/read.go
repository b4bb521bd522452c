package helmvalues

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kinds of what has values.
const (
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"
)

// get reads what an object has by its keys.
func get(ctx context.Context, read Reader, kind string, key client.ObjectKey) (map[string][]byte, error) {
	switch kind {
	case kindSecret:
		var from corev1.Secret
		err := read.Get(ctx, key, &from)
		return from.Data, err
	case kindConfigMap:
		var from corev1.ConfigMap
		if err := read.Get(ctx, key, &from); err != nil {
			return nil, err
		}
		values := make(map[string][]byte, len(from.Data))
		for name, value := range from.Data {
			values[name] = []byte(value)
		}
		return values, nil
	default:
		return nil, ErrKind
	}
}
