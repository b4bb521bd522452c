// Package releases keeps Helm releases where the helm command keeps them: each version
// of a release is a Secret that both read and write.
//
// A History has the versions of one release, for as long as somebody looks at them or
// acts on them. It lists them once, and knows what it has written since. It is also the
// storage of the Helm SDK, by Driver. A Watcher knows the versions of all releases of a
// cluster, by the metadata of their Secrets, and wakes those whose Secrets were changed
// by others, so that nobody reads a Secret to learn that nothing has happened.
//
// A version that is written again keeps what Helm 4 wrote and the types of Helm 3 lack.
// One that somebody else has changed since it was read is not overwritten. What is read
// has limits, and a Secret that cannot be read is an error that says which one it is and
// what to do; it does not hide the other versions.
//
// How many versions are kept is decided by the SDK, and what a Snapshot means by the
// caller.
package releases
