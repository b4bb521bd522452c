package v1

// Finalizer keeps a deleted object until what the controller has of it is gone. It is
// the same string for every Flux kind.
const Finalizer = "finalizers.fluxcd.io"
