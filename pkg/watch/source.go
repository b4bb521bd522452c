package watch

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

// Metadata opens resources so that only the metadata of objects is transferred.
func Metadata(c metadata.Interface) func(schema.GroupVersionResource) Source {
	return func(r schema.GroupVersionResource) Source { return metadataSource{c.Resource(r)} }
}

// Objects opens resources so that whole objects are transferred.
func Objects(c dynamic.Interface) func(schema.GroupVersionResource) Source {
	return func(r schema.GroupVersionResource) Source { return objectSource{c.Resource(r)} }
}

type metadataSource struct{ client metadata.ResourceInterface }

func (s metadataSource) List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	return s.client.List(ctx, opts)
}

func (s metadataSource) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return s.client.Watch(ctx, opts)
}

type objectSource struct{ client dynamic.ResourceInterface }

func (s objectSource) List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	return s.client.List(ctx, opts)
}

func (s objectSource) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return s.client.Watch(ctx, opts)
}
