package v1

import (
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/apis/meta"
)

// SourceReference names the source of a Kustomization.
type SourceReference struct {
	// APIVersion of the source. It need not be set: the kind says enough.
	APIVersion string `json:"apiVersion,omitempty"`

	// Kind of the source.
	// +kubebuilder:validation:Enum=OCIRepository;GitRepository;Bucket;ExternalArtifact
	Kind string `json:"kind"`

	// Name of the source.
	Name string `json:"name"`

	// Namespace of the source. Defaults to the namespace of the Kustomization; the
	// controller may have been told to refuse any other.
	Namespace string `json:"namespace,omitempty"`
}

// CommonMetadata is set on every object that is built. It replaces values of the same
// keys. Selectors and the templates of pods stay as they are.
type CommonMetadata struct {
	// Labels to set.
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations to set.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// BuildMetadata is something that kustomize can note on the objects that it builds.
//
// +kubebuilder:validation:Enum=originAnnotations;transformerAnnotations
type BuildMetadata string

const (
	// BuildMetadataOrigin notes the file that an object comes from.
	BuildMetadataOrigin BuildMetadata = "originAnnotations"

	// BuildMetadataTransformer notes what has changed an object on its way.
	BuildMetadataTransformer BuildMetadata = "transformerAnnotations"
)

// PostBuild says which variables are replaced in the objects that were built, written
// as ${NAME} or with one of the operators of a shell, such as ${NAME:=default}. A
// variable without a value and a default is an error. An object is left as it is when
// it has the label or annotation kustomize.toolkit.fluxcd.io/substitute: disabled.
type PostBuild struct {
	// Substitute has the values of variables by name. A name consists of letters,
	// digits and underscores, and does not start with a digit. These values win over
	// those of substituteFrom. Line breaks in them are dropped.
	Substitute map[string]string `json:"substitute,omitempty"`

	// SubstituteFrom names ConfigMaps and Secrets in the same namespace whose keys are
	// names of variables. The values of later ones win.
	SubstituteFrom []SubstituteReference `json:"substituteFrom,omitempty"`

	// SubstituteStrategy says when variables are replaced: "WithVariables" does so if
	// there is at least one variable, "Always" also if there is none, so that defaults
	// and escapes are still seen to. Defaults to "WithVariables".
	SubstituteStrategy SubstituteStrategy `json:"substituteStrategy,omitempty"`
}

// SubstituteReference names a ConfigMap or Secret with variables.
type SubstituteReference struct {
	// Kind is ConfigMap or Secret.
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	Kind string `json:"kind"`

	// Name of the ConfigMap or Secret, in the namespace of the Kustomization.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Optional goes on without it if it does not exist. Defaults to false.
	// +kubebuilder:default=false
	Optional bool `json:"optional,omitempty"`
}

// SubstituteStrategy says when variables are replaced.
//
// +kubebuilder:validation:Enum=WithVariables;Always
type SubstituteStrategy string

const (
	// SubstituteWithVariables replaces variables if there is at least one.
	SubstituteWithVariables SubstituteStrategy = "WithVariables"

	// SubstituteAlways replaces variables even if there is none.
	SubstituteAlways SubstituteStrategy = "Always"
)

// DecryptionProviderSOPS is the one format of encryption that is supported.
const DecryptionProviderSOPS = "sops"

// DecryptionSpec says how encrypted files are read.
type DecryptionSpec struct {
	// Provider is the format of the encryption; "sops" is the only one.
	// +kubebuilder:validation:Enum=sops
	Provider string `json:"provider"`

	// SecretRef names a Secret in the same namespace with the keys: OpenPGP keys under
	// names that end in ".asc", age identities under names that end in ".agekey", and
	// the credentials of key services as "sops.vault-token", "sops.aws-kms",
	// "sops.azure-kv" and "sops.gcp-kms".
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`

	// ServiceAccountName names a ServiceAccount in the same namespace whose cloud
	// identity is used with key services, instead of the controller's. It must be
	// enabled in the controller by the feature gate ObjectLevelWorkloadIdentity.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// IgnoreRule names fields of objects that are not corrected when they differ from the
// source.
type IgnoreRule struct {
	// Paths are JSON pointers to fields, such as "/spec/replicas".
	Paths []string `json:"paths"`

	// Target selects the objects. Defaults to all.
	Target *kustomize.Selector `json:"target,omitempty"`
}
