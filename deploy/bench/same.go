package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// overhead is what a controller asks of the API server for one application besides to
// apply its objects: as many requests as ours, and as dear.
type overhead struct {
	writes int // small ones, for finalizer, inventory and status
	dryRun int // of the objects; the first needs none
	events int
}

func installing() overhead { return overhead{writes: 3, dryRun: 3, events: 2} }
func upgrading() overhead  { return overhead{writes: 1, dryRun: 3, events: 1} }

// same has the floor's client make the requests of a controller, whose order within an
// application it keeps, and returns what that takes. So it tells how much of the time of
// a controller is the API server's.
func (f *floor) same(ctx context.Context, n int, version string, o overhead) (time.Duration, error) {
	began := time.Now()
	err := inParallel(ctx, n, func(ctx context.Context, i int) error {
		objects, err := appObjects(sameSpace, i, version)
		if err != nil {
			return err
		}
		for k := range o.writes - 1 {
			if err := f.note(ctx, i, version, k); err != nil {
				return err
			}
		}
		for _, obj := range objects[len(objects)-min(o.dryRun, len(objects)):] {
			if _, err := f.do(ctx, http.MethodPatch, obj.path+"?fieldManager=floor&force=true&dryRun=All", obj.data); err != nil {
				return err
			}
		}
		for _, obj := range objects {
			if err := f.applyOne(ctx, obj); err != nil {
				return err
			}
		}
		for k := range o.events {
			if err := f.event(ctx, i, version, k); err != nil {
				return err
			}
		}
		return f.note(ctx, i, version, o.writes)
	})
	return time.Since(began), err
}

// note writes something small, each time something else.
func (f *floor) note(ctx context.Context, i int, version string, k int) error {
	name := "note-" + appName(i)
	return f.applyOne(ctx, object{
		path: "/api/v1/namespaces/" + sameSpace + "/configmaps/" + name,
		data: fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"note":"%s %d"}}`, name, version, k),
	})
}

func (f *floor) event(ctx context.Context, i int, version string, k int) error {
	name := fmt.Sprintf("%s-%s-%d", appName(i), version, k)
	_, err := f.send(ctx, http.MethodPost, "/api/v1/namespaces/"+sameSpace+"/events", "application/json", fmt.Appendf(nil,
		`{"apiVersion":"v1","kind":"Event","metadata":{"name":%q},"type":"Normal","reason":"Same","message":"as a controller tells",`+
			`"involvedObject":{"apiVersion":"v1","kind":"ConfigMap","namespace":%q,"name":"note-%s"}}`, name, sameSpace, appName(i)))
	return err
}
