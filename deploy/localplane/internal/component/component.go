// Package component says which programs a plane consists of, who each of them is
// to the API server, and how it is told to run. It links none of them.
package component

import "runtime/debug"

// Verb is the first argument of a process that is a component; the second is its
// name.
const Verb = "component"

// Names of the components.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// KubernetesVersion returns the version of Kubernetes in this binary.
func KubernetesVersion() string { return moduleVersion("k8s.io/kubernetes") }

// moduleVersion returns the version of a module in this binary.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
