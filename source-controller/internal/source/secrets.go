package source

import (
	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	"weir.dev/pkg/followed"
)

// Secrets are the Secrets and ServiceAccounts that the objects of a kind read. They are
// read once, and followed while they are used: a run that finds nothing new asks the API
// server nothing, and a change wakes whoever reads what has changed.
type Secrets struct {
	kind    string
	objects *followed.Objects
}

// NewSecrets returns the Secrets of a kind. Kinds share what is followed.
func NewSecrets(kind string, objects *followed.Objects) *Secrets {
	return &Secrets{kind: kind, objects: objects}
}

// For returns what reads them in a run of obj.
func (s *Secrets) For(obj Object) client.Reader {
	return s.objects.For(s.user(obj), Asked(obj))
}

// Forget ends the use of all that an object has read that is gone.
func (s *Secrets) Forget(obj Object) { s.objects.Forget(s.user(obj)) }

// Wake asks for runs of objects when something that they have read has changed.
func (s *Secrets) Wake() ctrlsource.Source { return s.objects.Wake(s.kind) }

func (s *Secrets) user(obj Object) followed.User {
	return followed.User{Kind: s.kind, NamespacedName: client.ObjectKeyFromObject(obj)}
}

// Asked reports whether somebody waits for this run: it is none that the interval or a
// failure brought about. Who has changed a Secret and asks for a run expects it to be
// read.
func Asked(obj Object) bool {
	request, ok := meta.ReconcileAnnotationValue(obj.GetAnnotations())
	return obj.GetGeneration() != obj.GetObservedGeneration() || ok && request != obj.GetLastHandledReconcileAt()
}
