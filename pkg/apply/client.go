package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/mask"
)

// acceptMetadata asks for the metadata of the answer only.
const acceptMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// requestTimeout bounds one request; admission webhooks may take half of it each.
const requestTimeout = 60 * time.Second

var errNoAnswer = errors.New("no answer from the API server within " + requestTimeout.String())

// client sends the few requests that the engine consists of.
type client struct {
	rest    rest.Interface
	mapper  meta.RESTMapper
	manager string
}

func newClient(cfg *rest.Config, hc *http.Client, mapper meta.RESTMapper, manager string, warned func(string)) (*client, error) {
	cfg = rest.CopyConfig(cfg)
	if warned != nil || cfg.WarningHandlerWithContext == nil {
		cfg.WarningHandlerWithContext = NewWarnings(warned)
	}
	cfg.GroupVersion = &schema.GroupVersion{}
	cfg.ContentConfig = rest.ContentConfig{
		GroupVersion:         &schema.GroupVersion{},
		NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
		ContentType:          "application/json",
		AcceptContentTypes:   "application/json",
	}
	c, err := rest.UnversionedRESTClientForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, fmt.Errorf("connecting the apply engine: %w", err)
	}
	return &client{rest: c, mapper: mapper, manager: manager}, nil
}

// target is where an object lives.
type target struct {
	resource   schema.GroupVersionResource
	namespaced bool
}

// locate finds the API resource of a kind.
func (c *client) locate(gvk schema.GroupVersionKind) (target, error) {
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return target{}, err
	}
	return target{resource: m.Resource, namespaced: m.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// locateAny finds the API resource of a kind in whatever version is preferred.
func (c *client) locateAny(gk schema.GroupKind) (target, error) {
	m, err := c.mapper.RESTMapping(gk)
	if err != nil {
		return target{}, err
	}
	return target{resource: m.Resource, namespaced: m.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// path returns the URL path of an object.
func (t target) path(namespace, name string) []string {
	root := []string{"/apis", t.resource.Group, t.resource.Version}
	if t.resource.Group == "" {
		root = []string{"/api", t.resource.Version}
	}
	if t.namespaced {
		root = append(root, "namespaces", namespace)
	}
	return append(root, t.resource.Resource, name)
}

// answer is what the API server says to an apply.
type answer struct {
	object  *unstructured.Unstructured
	created bool
}

// manner is how an object is sent.
type manner struct {
	dryRun bool
	whole  bool // asks for the whole object in the answer, where metadata would do
	strict bool // refuses fields that the kind does not have
}

// apply sends obj by server-side apply, as data if it is encoded already.
func (c *client) apply(ctx context.Context, t target, obj *unstructured.Unstructured, data []byte, how manner) (answer, error) {
	return c.applyAs(ctx, t, obj, data, c.manager, how)
}

// applyAs is apply by another field manager.
func (c *client) applyAs(ctx context.Context, t target, obj *unstructured.Unstructured, data []byte, manager string, how manner) (answer, error) {
	if data == nil {
		var err error
		if data, err = json.Marshal(obj.Object); err != nil {
			return answer{}, fmt.Errorf("encoding: %w", err)
		}
	}
	req := c.rest.Patch(types.ApplyPatchType).
		AbsPath(t.path(obj.GetNamespace(), obj.GetName())...).
		Param("fieldManager", manager).
		Param("force", "true").
		Body(data)
	if how.dryRun {
		req.Param("dryRun", metav1.DryRunAll)
	}
	if how.strict {
		req.Param("fieldValidation", metav1.FieldValidationStrict)
	}
	if !how.whole {
		req.SetHeader("Accept", acceptMetadata+",application/json")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	var code int
	live, err := decode(req.Do(ctx).StatusCode(&code))
	return answer{object: live, created: code == http.StatusCreated}, masked(timely(ctx, err), obj)
}

// patch changes the metadata of an object by a JSON patch. A refusal may repeat the whole
// object, so that of a Secret is not told.
func (c *client) patch(ctx context.Context, t target, namespace, name string, patch []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	err := timely(ctx, c.rest.Patch(types.JSONPatchType).
		AbsPath(t.path(namespace, name)...).
		Param("fieldManager", c.manager).
		SetHeader("Accept", acceptMetadata+",application/json").
		Body(patch).Do(ctx).Error())
	if err != nil && t.resource.Group == "" && t.resource.Resource == "secrets" {
		return mask.Say(err, fmt.Sprintf("its metadata cannot be changed (%s)", apierrors.ReasonForError(err)))
	}
	return err
}

// foresee returns an object as a merge patch would leave it.
func (c *client) foresee(ctx context.Context, t target, namespace, name string, patch []byte) (*unstructured.Unstructured, error) {
	return c.read(ctx, c.rest.Patch(types.MergePatchType).AbsPath(t.path(namespace, name)...).
		Param("fieldManager", c.manager).Param("dryRun", metav1.DryRunAll).Body(patch))
}

// get reads an object.
func (c *client) get(ctx context.Context, t target, namespace, name string) (*unstructured.Unstructured, error) {
	return c.read(ctx, c.rest.Get().AbsPath(t.path(namespace, name)...))
}

// getMetadata reads the metadata of an object.
func (c *client) getMetadata(ctx context.Context, t target, namespace, name string) (*unstructured.Unstructured, error) {
	return c.read(ctx, c.rest.Get().AbsPath(t.path(namespace, name)...).SetHeader("Accept", acceptMetadata+",application/json"))
}

func (c *client) read(ctx context.Context, req *rest.Request) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	obj, err := decode(req.Do(ctx))
	return obj, timely(ctx, err)
}

// delete removes an object in the background, if it is still the one meant.
func (c *client) delete(ctx context.Context, t target, namespace, name string, pre metav1.Preconditions) error {
	background := metav1.DeletePropagationBackground
	body, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta:          metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions:     &pre,
		PropagationPolicy: &background,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errNoAnswer)
	defer cancel()
	return timely(ctx, c.rest.Delete().AbsPath(t.path(namespace, name)...).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error())
}

// timely says that the time was up rather than what broke because of it.
func timely(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// decode reads the object of an answer.
func decode(res rest.Result) (*unstructured.Unstructured, error) {
	if err := res.Error(); err != nil {
		return nil, err
	}
	data, err := res.Raw()
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("decoding answer: %w", err)
	}
	return obj, nil
}
