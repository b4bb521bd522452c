package bootstrap

import "fmt"

// Reason is why a run refuses to do anything.
type Reason string

const (
	// Prerequisite: the cluster, or who asks, does not do for an installation.
	Prerequisite Reason = "Prerequisite"
	// ManagedByOther: another program takes care of the installation.
	ManagedByOther Reason = "ManagedByOther"
	// Elsewhere: controllers of another namespace work on the same objects.
	Elsewhere Reason = "Elsewhere"
	// BeingDeleted: what the cluster runs from, or all of it, is on its way out.
	BeingDeleted Reason = "BeingDeleted"
	// Suspended: somebody has stopped the cluster from following its repository.
	Suspended Reason = "Suspended"
	// Pinned: the cluster follows a tag or a commit, and no branch.
	Pinned Reason = "Pinned"
	// OtherPath: the cluster runs from another folder.
	OtherPath Reason = "OtherPath"
	// OtherSource: the cluster runs from another repository or branch, and what is there
	// would be deleted.
	OtherSource Reason = "OtherSource"
	// LosesKinds: the cluster would lose kinds that it has from Git, with all their objects.
	LosesKinds Reason = "LosesKinds"
	// OtherInstallation: the folder of another cluster, or of another namespace, would be
	// applied by this one, or the other way round.
	OtherInstallation Reason = "OtherInstallation"
	// NoBranch: the repository has no such branch.
	NoBranch Reason = "NoBranch"
	// NotOurs: a file that would be overwritten is not one of ours.
	NotOurs Reason = "NotOurs"
	// NotListed: the files of the installation are there, and not what is applied.
	NotListed Reason = "NotListed"
	// WholeRepository: everything that is in the repository would be applied.
	WholeRepository Reason = "WholeRepository"
	// Older: what runs is newer than what would be installed.
	Older Reason = "Older"
	// NoAccess: the repository cannot be reached like this.
	NoAccess Reason = "NoAccess"
	// PushRefused: the repository does not take the commit.
	PushRefused Reason = "PushRefused"
	// KeyUnknown: the repository does not let the cluster in.
	KeyUnknown Reason = "KeyUnknown"
)

// forcible are the reasons that are only good as long as nobody insists.
var forcible = map[Reason]bool{
	ManagedByOther: true, Elsewhere: true, Pinned: true, OtherSource: true, LosesKinds: true, NotOurs: true, WholeRepository: true, Older: true,
}

// Forcible reports whether who insists may go on all the same.
func (r Reason) Forcible() bool { return forcible[r] }

// Refusal is an error that says why nothing was done, and what to do.
type Refusal struct {
	Reason Reason
	Why    string
	Next   string // a command, or words
	Err    error  // that it comes from; may be nil
}

// Unwrap returns the error that it comes from.
func (r *Refusal) Unwrap() error { return r.Err }

// Error says why.
func (r *Refusal) Error() string { return r.Why }

// refuse returns a refusal.
func refuse(reason Reason, why string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Why: fmt.Sprintf(why, args...)}
}

// next says what to do.
func (r *Refusal) next(format string, args ...any) *Refusal {
	r.Next = fmt.Sprintf(format, args...)
	return r
}
