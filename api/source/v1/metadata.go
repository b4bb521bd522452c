package v1

// Finalizer keeps a deleted source until its artifacts are gone from the storage.
// It is the same string for every Flux kind.
const Finalizer = "finalizers.fluxcd.io"
