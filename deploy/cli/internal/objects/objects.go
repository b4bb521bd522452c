// Package objects reads objects of kinds from the cluster: many kinds at the same time, and
// of each object only what a table shows, unless whole objects are asked for.
package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"weir.dev/deploy/cli/internal/kinds"
)

// page is how many objects are read by one request.
const page = 500

// Reader reads objects.
type Reader struct {
	// REST asks the API server.
	REST *rest.RESTClient
	// Mapper knows which versions it serves.
	Mapper meta.RESTMapper
}

// Query says which objects of a kind are asked for.
type Query struct {
	Kind      kinds.Kind
	Namespace string // "" for all
	Name      string // "" for all
	Labels    string // a selector
}

// List is what was found.
type List struct {
	Kind kinds.Kind
	// Items are in the order of the API server: by namespace and name.
	Items []kinds.Object
	// ResourceVersion is where a watch goes on.
	ResourceVersion string
}

// Mapping returns kind and resource in the version that is known here, or else in the one
// that the API server prefers. The error of a kind that is not installed is a
// meta.NoKindMatchError.
func (r Reader) Mapping(k kinds.Kind) (*meta.RESTMapping, error) {
	mapping, err := r.Mapper.RESTMapping(k.GVK.GroupKind(), k.GVK.Version)
	if meta.IsNoMatchError(err) {
		mapping, err = r.Mapper.RESTMapping(k.GVK.GroupKind())
	}
	return mapping, err
}

// List reads what a table shows of the objects.
func (r Reader) List(ctx context.Context, q Query) (List, error) {
	out := List{Kind: q.Kind}
	err := r.pages(ctx, q, func(data []byte) (next, error) {
		var got struct {
			Metadata next           `json:"metadata"`
			Items    []kinds.Object `json:"items"`
		}
		if err := json.Unmarshal(data, &got); err != nil {
			return next{}, err
		}
		out.ResourceVersion = got.Metadata.ResourceVersion
		out.Items = append(out.Items, got.Items...)
		return got.Metadata, nil
	})
	for i := range out.Items { // items of a list need not say what they are
		out.Items[i].Kind = q.Kind.GVK.Kind
		if out.Items[i].APIVersion == "" {
			out.Items[i].APIVersion = q.Kind.GVK.GroupVersion().String()
		}
	}
	return out, err
}

// Whole reads all of the objects.
func (r Reader) Whole(ctx context.Context, q Query) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	err := r.pages(ctx, q, func(data []byte) (next, error) {
		var got unstructured.UnstructuredList
		if err := got.UnmarshalJSON(data); err != nil {
			return next{}, err
		}
		for i := range got.Items {
			out = append(out, &got.Items[i])
		}
		return next{Continue: got.GetContinue(), ResourceVersion: got.GetResourceVersion()}, nil
	})
	return out, err
}

// next is where a list goes on.
type next struct {
	Continue        string `json:"continue"`
	ResourceVersion string `json:"resourceVersion"`
}

// pages gives take one answer after the other.
func (r Reader) pages(ctx context.Context, q Query, take func([]byte) (next, error)) error {
	mapping, err := r.Mapping(q.Kind)
	if err != nil {
		return err
	}
	resource := mapping.Resource
	var from next
	for {
		req := r.REST.Get().AbsPath("apis", resource.Group, resource.Version).
			NamespaceIfScoped(q.Namespace, q.Namespace != "").Resource(resource.Resource).
			SetHeader("Accept", "application/json").
			Param("limit", strconv.Itoa(page))
		if q.Name != "" {
			req.Param("fieldSelector", "metadata.name="+q.Name)
		}
		if q.Labels != "" {
			req.Param("labelSelector", q.Labels)
		}
		if from.Continue != "" {
			req.Param("continue", from.Continue)
		}
		result := req.Do(ctx)
		data, err := result.Raw()
		if err != nil {
			err = result.Error() // which is as the API server says it
		}
		if notServed(err) {
			return &meta.NoKindMatchError{GroupKind: q.Kind.GVK.GroupKind(), SearchedVersions: []string{resource.Version}}
		}
		if err != nil {
			return fmt.Errorf("listing %s: %w", q.Kind.Plural, err)
		}
		if from, err = take(data); err != nil {
			return fmt.Errorf("reading %s: %w", q.Kind.Plural, err)
		}
		if from.Continue == "" {
			return nil
		}
	}
}

// notServed reports whether a list was refused because there is no such resource.
func notServed(err error) bool { return apierrors.IsNotFound(err) }

// Lists reads several lists at the same time and returns those that could be read, in the
// order of the queries. Kinds that are not installed, and that are not the only one, are left
// out. If others could not be read, the error is Unread.
func (r Reader) Lists(ctx context.Context, queries []Query) ([]List, error) {
	return each(ctx, queries, r.List)
}

// Wholes is Lists of all of the objects, in one.
func (r Reader) Wholes(ctx context.Context, queries []Query) ([]*unstructured.Unstructured, error) {
	lists, err := each(ctx, queries, r.Whole)
	return slices.Concat(lists...), err
}

// Unread is the error of a read of several kinds of which some could not be read.
type Unread struct {
	// Errs are the errors of the kinds.
	Errs []error
	// All says that no kind could be read.
	All bool
}

// Error implements error. Where nothing could be read, it is for the same reason mostly.
func (u *Unread) Error() string {
	if u.All {
		return u.Errs[0].Error()
	}
	return errors.Join(u.Errs...).Error()
}

// Unwrap returns the errors of the kinds.
func (u *Unread) Unwrap() []error { return u.Errs }

// each reads for all queries at the same time. That one fails does not keep the others back.
func each[T any](ctx context.Context, queries []Query, read func(context.Context, Query) (T, error)) ([]T, error) {
	if len(queries) == 1 {
		one, err := read(ctx, queries[0])
		if err != nil {
			return nil, err
		}
		return []T{one}, nil
	}
	found := make([]T, len(queries))
	errs := make([]error, len(queries))
	var reading sync.WaitGroup
	for i, q := range queries {
		reading.Go(func() { found[i], errs[i] = read(ctx, q) })
	}
	reading.Wait()
	var out []T
	unread := &Unread{}
	for i, err := range errs {
		switch {
		case err == nil:
			out = append(out, found[i])
		case !meta.IsNoMatchError(err):
			unread.Errs = append(unread.Errs, err)
		}
	}
	if len(unread.Errs) == 0 {
		return out, nil
	}
	unread.All = len(out) == 0
	return out, unread
}
