package followed

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kind is a resource whose objects are followed.
type kind string

const (
	secrets         kind = "secrets"
	configMaps      kind = "configmaps"
	serviceAccounts kind = "serviceaccounts"
)

// kindOf returns the kind of obj, if it is one that is followed.
func kindOf(obj client.Object) (kind, bool) {
	switch obj.(type) {
	case *corev1.Secret:
		return secrets, true
	case *corev1.ConfigMap:
		return configMaps, true
	case *corev1.ServiceAccount:
		return serviceAccounts, true
	default:
		return "", false
	}
}

// list returns an empty list of the kind.
func (k kind) list() client.ObjectList {
	switch k {
	case secrets:
		return &corev1.SecretList{}
	case configMaps:
		return &corev1.ConfigMapList{}
	default:
		return &corev1.ServiceAccountList{}
	}
}

// key names an object.
type key struct {
	kind kind
	name types.NamespacedName
}

// only selects the object of a list.
func (k key) only() []client.ListOption {
	return []client.ListOption{client.InNamespace(k.name.Namespace), client.MatchingFields{metav1.ObjectNameField: k.name.Name}}
}

// copy copies what is known of the object, as if it had been read; nil means that there
// is none.
func (k key) copy(from, into client.Object) error {
	switch from := from.(type) {
	case *corev1.Secret:
		from.DeepCopyInto(into.(*corev1.Secret))
	case *corev1.ConfigMap:
		from.DeepCopyInto(into.(*corev1.ConfigMap))
	case *corev1.ServiceAccount:
		from.DeepCopyInto(into.(*corev1.ServiceAccount))
	default:
		return apierrors.NewNotFound(corev1.Resource(string(k.kind)), k.name.Name)
	}
	return nil
}
