// Package helmvalues puts together the values of a release, from ConfigMaps, Secrets and the
// spec, for the controller and the command line.
//
// They are the same as those of the Flux controllers. That includes which of two values for
// the same path wins when one of them is set by a target path; see Compose.
//
// Values may be secret. No error of this package has a part of them: errors name the object,
// the key and, of YAML, the line.
package helmvalues
