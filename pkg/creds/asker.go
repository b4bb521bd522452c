package creds

import "errors"

// FeatureGate lets objects name a ServiceAccount whose identity is used. It has the name that
// the libraries of the clouds know it by.
const FeatureGate = "ObjectLevelWorkloadIdentity"

// ErrGateDisabled: an object names a ServiceAccount, and the feature gate is off.
var ErrGateDisabled = errors.New("to use spec.serviceAccountName for provider authentication please enable the " + FeatureGate + " feature gate in the controller")

// Asker is whose credentials are asked for, where they are those of an identity and not in
// a Secret.
type Asker struct {
	Kind, Namespace, Name string
	ServiceAccount        string // that the object names
	Default               string // if it names none; "" means that of the process
	Operation             string // what it asks for, in metrics; "" means "reconcile"
}
