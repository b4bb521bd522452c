package source

import (
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlsource "sigs.k8s.io/controller-runtime/pkg/source"

	"weir.dev/pkg/followed"
	"weir.dev/pkg/loop"
)

// Secrets are the Secrets and ServiceAccounts that the objects of a kind read. A run that
// somebody waits for reads what there is right now.
type Secrets struct{ users *followed.Users }

// NewSecrets returns the Secrets of a kind. Kinds share what is followed.
func NewSecrets(kind string, objects *followed.Objects) *Secrets {
	return &Secrets{users: objects.Users(kind)}
}

// For returns what reads them in a run of obj.
func (s *Secrets) For(obj Object) client.Reader { return s.users.For(obj, loop.Awaited(obj)) }

// Forget ends the use of all that an object has read that is gone.
func (s *Secrets) Forget(obj Object) { s.users.Forget(obj) }

// Wake asks for runs of objects when something that they have read has changed.
func (s *Secrets) Wake() ctrlsource.Source { return s.users.Wake() }
