package apply

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/mask"
)

// masked returns an error whose text has none of the values of obj, if that is a
// Secret: the API server repeats values that it refuses. errors.Is and As see err.
func masked(err error, obj *unstructured.Unstructured) error {
	if err == nil || obj.GetKind() != "Secret" || obj.GroupVersionKind().Group != "" {
		return err
	}
	return mask.NewStrict(mask.Secret(obj)...).Error(err)
}
