// Package v1 is version v1 of the API group image.toolkit.fluxcd.io: kinds that say
// which tags a registry is asked for, which of them is the latest by a policy, and where
// that one is written in a Git repository. It is the version that is stored.
//
// The types are those of the Flux API, field by field. They carry no behaviour but
// their documented defaults; validation is done by the API server.
//
// +kubebuilder:object:generate=true
// +groupName=image.toolkit.fluxcd.io
package v1
