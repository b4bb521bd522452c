package followed

import (
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Users are the objects of a kind that read others. What one reads is read once, and
// followed while it is used: a run that finds nothing new asks the API server nothing,
// and a change wakes whoever has read what has changed.
type Users struct {
	kind    string
	objects *Objects
}

// Users returns those of a kind. Kinds share what is followed.
func (o *Objects) Users(kind string) *Users { return &Users{kind: kind, objects: o} }

// For returns a reader for one of them. If fresh, it reads what there is right now.
func (u *Users) For(obj client.Object, fresh bool) client.Reader {
	return u.objects.For(u.user(obj), fresh)
}

// Forget ends the use of all that an object has read that is gone.
func (u *Users) Forget(obj client.Object) { u.objects.Forget(u.user(obj)) }

// Wake asks for runs of those who have read what has changed.
func (u *Users) Wake() source.Source { return u.objects.Wake(u.kind) }

func (u *Users) user(obj client.Object) User {
	return User{Kind: u.kind, NamespacedName: client.ObjectKeyFromObject(obj)}
}
