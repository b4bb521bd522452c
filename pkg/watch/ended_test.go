package watch

import (
	"context"
	"strconv"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// empty is a resource without objects.
type empty struct{}

func (empty) List(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
}

func (empty) Watch(_ context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	if opts.SendInitialEvents != nil && *opts.SendInitialEvents {
		return nil, apierrors.NewBadRequest("sendInitialEvents is not known")
	}
	return apiwatch.NewRaceFreeFake(), nil
}

// TestNothingIsLeftOfEndedStreams: lone objects come and go as long as a program runs.
func TestNothingIsLeftOfEndedStreams(t *testing.T) {
	t.Parallel()
	open := func(Key) Source { return empty{} }
	listed := make(told, 1)
	streams := NewStreams(open, HandlerOf[Key](listed), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	streams.Acquire(Key{Name: "first"})
	go func() { ended <- streams.Start(ctx) }()
	<-listed // so streams run
	for i := range 10 {
		key := Key{Resource: schema.GroupVersionResource{Resource: "widgets"}, Name: strconv.Itoa(i % 3)}
		streams.Acquire(key)
		streams.Release(key)
	}
	streams.Release(Key{Name: "first"})
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if len(streams.streams) != 0 || len(streams.ended) != 0 {
		t.Errorf("%d streams and %d ends are remembered of none that runs", len(streams.streams), len(streams.ended))
	}
}

// told is a handler that tells of the first list.
type told chan struct{}

func (told) Saw(Key, metav1.Object)  {}
func (told) Lost(Key, metav1.Object) {}
func (told) Refused(Key, error)      {}

func (t told) Listed(Key, []metav1.Object, string) {
	select {
	case t <- struct{}{}:
	default:
	}
}
