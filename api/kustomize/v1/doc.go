// Package v1 is version v1 of the API group kustomize.toolkit.fluxcd.io: the
// Kustomization, which keeps objects in a cluster as a source says they should be, and
// the labels and annotations by which single objects ask for another treatment.
//
// The types are those of the Flux API, field by field. They carry no behaviour but
// their documented defaults; validation is done by the API server.
//
// +kubebuilder:object:generate=true
// +groupName=kustomize.toolkit.fluxcd.io
package v1
