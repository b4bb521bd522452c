// Package fetch gets artifacts from the servers that publish them. However many callers ask for a
// digest, a process downloads and unpacks it once, and all of them read the same tree.
//
// Nobody sees a byte of an artifact before its digest was verified. Unpacking makes one file on
// disk, the contents of all files one after the other, and an index in memory; no path of an
// archive becomes a path on disk. The files are a cache: they are removed when nobody has used
// them for a while, and when a new process starts.
//
// Which artifact to fetch, and what to do when it cannot be had, is the caller's to decide. After
// ErrNotFound and ErrDigestMismatch the object that advertised the artifact has probably changed;
// read it again.
package fetch
