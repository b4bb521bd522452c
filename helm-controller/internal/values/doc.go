// Package values puts together the values of a release, from ConfigMaps, Secrets and the
// spec, and identifies them by a digest.
//
// Both are the same, byte for byte, as those of the Flux controllers: a release that was
// made by these is not made again. That includes which of two values for the same path
// wins when one of them is set by a target path; see Compose.
//
// Values may be secret. No error of this package has a part of them: errors name the
// object, the key and, of YAML, the line.
package values
