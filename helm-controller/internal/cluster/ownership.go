package cluster

import (
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
)

// What Helm writes on all objects of a release, to say that they are its.
const (
	labelManagedBy             = "app.kubernetes.io/managed-by"
	managedByHelm              = "Helm"
	annotationReleaseName      = "meta.helm.sh/release-name"
	annotationReleaseNamespace = "meta.helm.sh/release-namespace"
)

// Objects returns the objects of the manifest of a release as they are applied: in their
// namespaces, and with what says that they are of the release. An action applies the very
// same, so that who applies these finds unchanged what the action has left.
func Objects(at *tenant.Place, rel types.NamespacedName, manifest string) ([]*unstructured.Unstructured, error) {
	objs, err := decode(strings.NewReader(manifest))
	if err != nil {
		return nil, err
	}
	for i, obj := range objs {
		gvk := obj.GroupVersionKind()
		mapping, err := at.Mapper().RESTMapping(gvk.GroupKind(), gvk.Version)
		if meta.IsNoMatchError(err) {
			err = unserved(gvk)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", gvk.Kind, obj.GetName(), err)
		}
		place(obj, mapping.Scope, rel.Namespace)
		objs[i] = wanted(claim(obj, rel))
	}
	return objs, nil
}

// claim says on an object of which release it is, as the SDK does.
func claim(obj *unstructured.Unstructured, rel types.NamespacedName) *unstructured.Unstructured {
	labels, annotations := obj.GetLabels(), obj.GetAnnotations()
	if labels == nil {
		labels = make(map[string]string, 1)
	}
	if annotations == nil {
		annotations = make(map[string]string, 2)
	}
	labels[labelManagedBy] = managedByHelm
	annotations[annotationReleaseName], annotations[annotationReleaseNamespace] = rel.Name, rel.Namespace
	obj.SetLabels(labels)
	obj.SetAnnotations(annotations)
	return obj
}

// wanted returns an object as it is applied server-side. Plain text in a Secret becomes
// data: a key that leaves the chart would stay in the Secret otherwise.
func wanted(obj *unstructured.Unstructured) *unstructured.Unstructured {
	if !isSecret(obj) {
		return obj
	}
	return manifest.Normalise(obj)
}

func isSecret(obj *unstructured.Unstructured) bool {
	gvk := obj.GroupVersionKind()
	return gvk.Group == "" && gvk.Kind == "Secret"
}

// content returns the object of info.
func content(info *resource.Info) (*unstructured.Unstructured, error) {
	obj, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%s is a %T, which is not how it was built", idOf(info), info.Object)
	}
	return obj, nil
}

// claimed reports whether an object is said to be of a release, as the SDK says of all but
// those of hooks and the namespace that it creates.
func claimed(obj metav1.Object) bool {
	_, hook := obj.GetAnnotations()[release.HookAnnotation]
	_, named := obj.GetAnnotations()[annotationReleaseName]
	return named && !hook
}

// others reports whether an object says that it is of another release.
func others(obj metav1.Object, rel types.NamespacedName) bool {
	annotations := obj.GetAnnotations()
	name, named := annotations[annotationReleaseName]
	namespace, placed := annotations[annotationReleaseNamespace]
	return named && name != rel.Name || placed && namespace != rel.Namespace
}

// keep reports whether an object asks to stay when its release lets go of it.
func keep(obj metav1.Object) bool {
	return strings.EqualFold(strings.TrimSpace(obj.GetAnnotations()[kube.ResourcePolicyAnno]), kube.KeepPolicy)
}

// unknownFields is how the API server begins what it says of fields that a kind does not
// have. It is not told in another way.
const unknownFields = "strict decoding error"

// advised adds to an error what can be done about it: of a missing namespace, the API
// server says only its name.
func advised(err error) error {
	if err != nil && strings.Contains(err.Error(), unknownFields) {
		return fmt.Errorf("%w: correct the template, or set disableOpenAPIValidation to have it left out", err)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsNotFound(err) {
		return err
	}
	if details := status.Status().Details; details != nil && details.Kind == "namespaces" {
		return fmt.Errorf("%w: create the namespace %q, or set spec.install.createNamespace if it is the target namespace", err, details.Name)
	}
	return err
}
