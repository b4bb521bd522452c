// Package v2 is version v2 of the API group helm.toolkit.fluxcd.io: the HelmRelease, which
// keeps a release of a Helm chart in a cluster as its spec says, and the labels and
// annotations that go with it.
//
// The types are those of the Flux API, field by field. They carry no behaviour but
// their documented defaults; validation is done by the API server.
//
// +kubebuilder:object:generate=true
// +groupName=helm.toolkit.fluxcd.io
package v2
