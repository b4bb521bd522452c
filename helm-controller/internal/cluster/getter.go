package cluster

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/action"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/tenant"
)

// Getter returns what the SDK takes to look up objects while it renders, as the tenant.
// Its requests end with ctx, that of the action.
func Getter(ctx context.Context, at *tenant.Place) action.RESTClientGetter {
	return getter{at: at, conn: connect(ctx, at, nil), told: &told{}}
}

type getter struct {
	at   *tenant.Place
	conn *connection
	told *told
}

// ToRESTConfig implements action.RESTClientGetter.
func (g getter) ToRESTConfig() (*rest.Config, error) {
	where, err := g.conn.url("")
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: where, QPS: -1, // the server sets the pace
		Transport:                 once{base: g.conn.http.Transport, told: g.told},
		WarningHandlerWithContext: rest.NoWarnings{},
	}, nil
}

// ToDiscoveryClient implements action.RESTClientGetter.
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(g.conn.config, g.conn.http)
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(client), nil
}

// ToRESTMapper implements action.RESTClientGetter.
func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.at.Mapper(), nil }

// once is a transport that asks once what an API serves. The SDK asks it before each object
// that a template looks up.
type once struct {
	base http.RoundTripper
	told *told
}

// told is what an API server has told, by path.
type told struct {
	mu      sync.Mutex
	answers map[string]document
}

type document struct {
	kind string
	body []byte
}

// RoundTrip implements http.RoundTripper.
func (o once) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || !isVersion(req.URL.Path) {
		return o.base.RoundTrip(req)
	}
	o.told.mu.Lock()
	defer o.told.mu.Unlock() // others would ask the same
	if known, ok := o.told.answers[req.URL.Path]; ok {
		return known.response(req), nil
	}
	resp, err := o.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDiscovery))
	if err != nil {
		return nil, err
	}
	if o.told.answers == nil {
		o.told.answers = make(map[string]document)
	}
	answer := document{kind: resp.Header.Get("Content-Type"), body: body}
	o.told.answers[req.URL.Path] = answer
	return answer.response(req), nil
}

// isVersion reports whether a path is that of one version of an API.
func isVersion(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	root := slices.IndexFunc(parts, func(part string) bool { return part == "api" || part == "apis" })
	if root < 0 {
		return false
	}
	below := len(parts) - root - 1
	return parts[root] == "api" && below == 1 || parts[root] == "apis" && below == 2
}

func (d document) response(req *http.Request) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {d.kind}}, Body: io.NopCloser(bytes.NewReader(d.body)),
		ContentLength: int64(len(d.body)), Request: req,
	}
}
