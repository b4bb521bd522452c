package watch

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

// Key is objects of a resource, for one who looks at them in one way.
type Key struct {
	Resource  schema.GroupVersionResource
	Namespace string // of the objects; empty means all
	Name      string // of the one object that is meant; empty means all
	Variant   string // tells apart streams of the same objects
}

// String returns the objects that are meant.
func (k Key) String() string {
	s := k.Resource.String()
	if k.Namespace != "" {
		s += " in " + k.Namespace
	}
	if k.Name != "" {
		s += " named " + k.Name
	}
	return s
}

// Getter reads one object. The sources of Objects are such.
type Getter interface {
	Get(ctx context.Context, namespace, name string) (metav1.Object, error)
}

// Metadata opens resources so that only the metadata of objects is transferred.
func Metadata(c metadata.Interface) func(schema.GroupVersionResource) Source {
	return func(r schema.GroupVersionResource) Source { return metadataSource{c.Resource(r)} }
}

// Objects opens keys so that whole objects are transferred.
func Objects(c dynamic.Interface) func(Key) Source {
	return func(k Key) Source { return objectSource{client: c.Resource(k.Resource), key: k} }
}

type metadataSource struct{ client metadata.ResourceInterface }

func (s metadataSource) List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	return s.client.List(ctx, opts)
}

func (s metadataSource) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return s.client.Watch(ctx, opts)
}

type objectSource struct {
	client dynamic.NamespaceableResourceInterface
	key    Key
}

func (s objectSource) List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	return s.client.Namespace(s.key.Namespace).List(ctx, s.only(opts))
}

func (s objectSource) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return s.client.Namespace(s.key.Namespace).Watch(ctx, s.only(opts))
}

// Get implements Getter.
func (s objectSource) Get(ctx context.Context, namespace, name string) (metav1.Object, error) {
	obj, err := s.client.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj, nil
}

// only selects the one object that is meant, if one is.
func (s objectSource) only(opts metav1.ListOptions) metav1.ListOptions {
	if s.key.Name != "" {
		opts.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, s.key.Name).String()
	}
	return opts
}
