package verb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/manifest"
)

// subject is an object of whatever kind that an argument names, whether it exists or not.
type subject struct {
	// Text is KIND/NAME as it was given.
	text string
	id   manifest.ID
	gvk  schema.GroupVersionKind
}

// subject reads KIND/NAME as kubectl does: of any kind that the cluster has, by any of its
// names, in the namespace of the session.
func (h *hand) subject(text string) (subject, error) {
	i := strings.LastIndex(text, "/")
	if i <= 0 || i == len(text)-1 {
		return subject{}, session.Hint(fmt.Errorf("%q is not of the form KIND/NAME", text), "for example: deployment/podinfo, ks/apps")
	}
	mapping, err := h.mapping(text[:i])
	if err != nil {
		return subject{}, err
	}
	s := subject{text: text, gvk: mapping.GroupVersionKind}
	s.id = manifest.ID{Group: s.gvk.Group, Kind: s.gvk.Kind, Name: text[i+1:]}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		s.id.Namespace = h.Namespace()
	}
	return s, nil
}

// mapping returns the kind that people call by a name.
func (h *hand) mapping(name string) (*meta.RESTMapping, error) {
	if k, ok := kinds.Find(name); ok {
		return h.reader.Mapping(k)
	}
	mapper := h.reader.Mapper
	full, short := schema.ParseResourceArg(strings.ToLower(name))
	candidates := []schema.GroupVersionResource{short.WithVersion("")}
	if full != nil {
		candidates = append([]schema.GroupVersionResource{*full}, candidates...)
	}
	for _, resource := range candidates {
		gvk, err := mapper.KindFor(resource)
		if meta.IsNoMatchError(err) {
			continue
		}
		if ambiguous := (*meta.AmbiguousResourceError)(nil); err != nil && !errors.As(err, &ambiguous) {
			return nil, err
		}
		return mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	return nil, session.Hint(fmt.Errorf("there is no kind %q", name), "see the kinds that there are: kubectl api-resources")
}

// read reads the object.
func (h *hand) read(ctx context.Context, s subject) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(s.gvk)
	return obj, h.client.Get(ctx, types.NamespacedName{Namespace: s.id.Namespace, Name: s.id.Name}, obj)
}

// missing is the error that an object does not exist.
func (s subject) missing(next string) error {
	where := ""
	if s.id.Namespace != "" {
		where = "is it in another namespace (-n)? "
	}
	return session.Hint(fmt.Errorf("%s does not exist", s.id), "%s%s", where, next)
}
