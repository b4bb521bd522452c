// Package v1beta2 is version v1beta2 of the API group image.toolkit.fluxcd.io. It is
// served, so that manifests of it apply, and has the same schema as version v1, in which
// objects are stored: nothing needs to be converted.
//
// +kubebuilder:object:generate=true
// +groupName=image.toolkit.fluxcd.io
package v1beta2
