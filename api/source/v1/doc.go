// Package v1 is version v1 of the API group source.toolkit.fluxcd.io: kinds that say
// where configuration comes from. A controller fetches each source and publishes what
// it got as an artifact, a compressed archive that others download over HTTP.
//
// The types are those of the Flux API, field by field. They carry no behaviour but
// their documented defaults; validation is done by the API server.
//
// +kubebuilder:object:generate=true
// +groupName=source.toolkit.fluxcd.io
package v1
