package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
)

// connection reaches a cluster as the tenant, as long as an action goes on.
type connection struct {
	config *rest.Config
	http   *http.Client
	sent   *sent

	mu      sync.Mutex
	clients map[schema.GroupVersion]resource.RESTClient
}

// connect returns a connection that ends with ctx; warned is told each warning of the API
// server once.
func connect(ctx context.Context, at *tenant.Place, warned func(string)) *connection {
	hc := at.HTTP()
	base := hc.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	config := rest.CopyConfig(at.Config())
	config.WarningHandlerWithContext = apply.NewWarnings(warned)
	c := &connection{config: config, sent: &sent{}, clients: make(map[schema.GroupVersion]resource.RESTClient)}
	c.http = &http.Client{Transport: bound{ctx: ctx, base: base, sent: c.sent}, Timeout: hc.Timeout}
	return c
}

// client returns the client of the SDK for an API, which makes requests.
func (c *connection) client(of schema.GroupVersion) (resource.RESTClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.clients[of]; ok {
		return known, nil
	}
	made, err := restClient(c.config, c.http, of)
	if err != nil {
		return nil, err
	}
	c.clients[of] = made
	return made, nil
}

// restClient returns a client such as the SDK makes for itself.
func restClient(config *rest.Config, hc *http.Client, of schema.GroupVersion) (resource.RESTClient, error) {
	config = rest.CopyConfig(config)
	config.ContentConfig = resource.UnstructuredPlusDefaultContentConfig()
	config.GroupVersion = &of
	config.APIPath = "/apis"
	if of.Group == "" {
		config.APIPath = "/api"
	}
	return rest.RESTClientForConfigAndClient(config, hc)
}

// helper makes requests about the object of info.
func (c *connection) helper(info *resource.Info) (*resource.Helper, error) {
	client, err := c.client(info.Mapping.GroupVersionKind.GroupVersion())
	if err != nil {
		return nil, err
	}
	return resource.NewHelper(client, info.Mapping).WithFieldManager(Manager), nil
}

// metadata returns a client that reads no more of objects than their metadata.
func (c *connection) metadata() (metadata.Interface, error) {
	return metadata.NewForConfigAndClient(c.config, c.http)
}

// typed returns a client for the kinds of Kubernetes itself.
func (c *connection) typed() (kubernetes.Interface, error) {
	return kubernetes.NewForConfigAndClient(c.config, c.http)
}

// bound is a transport whose requests end with an action: the SDK sends some that nothing
// else would end.
type bound struct {
	ctx  context.Context
	base http.RoundTripper
	sent *sent
}

// RoundTrip implements http.RoundTripper.
func (b bound) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.ctx.Err() != nil {
		return nil, context.Cause(b.ctx)
	}
	if req.Context().Done() == nil {
		req = req.WithContext(b.ctx)
	}
	resp, err := b.base.RoundTrip(req)
	if err == nil && req.Method != http.MethodGet && resp.StatusCode < http.StatusBadRequest {
		b.sent.add(req)
	}
	return resp, err
}

// strict is a transport that has the API server refuse objects with fields that their kinds
// do not have.
type strict struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s strict) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		req = req.Clone(req.Context())
		asked := req.URL.Query()
		asked.Set("fieldValidation", metav1.FieldValidationStrict)
		req.URL.RawQuery = asked.Encode()
	}
	return s.base.RoundTrip(req)
}

// sent remembers which writes an API server has accepted.
type sent struct {
	mu    sync.Mutex
	paths map[string]bool
}

func (s *sent) add(req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paths == nil {
		s.paths = make(map[string]bool)
	}
	s.paths[req.URL.Path] = true
}

// absent is a client to which no object exists, and which makes no request.
func absent() (resource.RESTClient, error) {
	hc := &http.Client{Transport: nothing{}}
	return restClient(&rest.Config{Host: "http://localhost"}, hc, schema.GroupVersion{Version: "v1"})
}

// nothing is a transport that answers every request itself: there is no such object.
type nothing struct{}

// RoundTrip implements http.RoundTripper.
func (nothing) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound,
		Message: "not looked for, because it is taken over if it exists",
	})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "404 Not Found", StatusCode: http.StatusNotFound, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: req,
	}, nil
}
