package v1

// Finalizer keeps a deleted Kustomization until its objects are dealt with as its
// deletion policy says. It is the same string for every Flux kind.
const Finalizer = "finalizers.fluxcd.io"

// Labels that tell which Kustomization applied an object last. Only that one prunes it.
const (
	// LabelName is the name of the Kustomization.
	LabelName = GroupName + "/name"

	// LabelNamespace is the namespace of the Kustomization.
	LabelNamespace = GroupName + "/namespace"
)

// Keys by which one managed object asks for another treatment. Each works as a label
// and as an annotation. Values compare without regard to case, but for KeySubstitute.
const (
	// KeyReconcile with ValueDisabled leaves the object alone: it is neither applied
	// nor pruned. It counts in the source and on the object in the cluster.
	KeyReconcile = GroupName + "/reconcile"

	// KeySSA with ValueMerge, ValueIfNotPresent or ValueIgnore changes how the object
	// is applied.
	KeySSA = GroupName + "/ssa"

	// KeyForce with ValueEnabled deletes and recreates the object when a change to an
	// immutable field is refused. It counts in the source and on the object in the
	// cluster.
	KeyForce = GroupName + "/force"

	// KeyPrune with ValueDisabled keeps the object when it leaves the source. It
	// counts on the object in the cluster.
	KeyPrune = GroupName + "/prune"

	// KeySubstitute with ValueDisabled, in exactly this spelling, leaves variables in
	// the object as they are.
	KeySubstitute = GroupName + "/substitute"

	// KeyDecrypt with ValueDisabled leaves the object as encrypted as it is.
	KeyDecrypt = GroupName + "/decrypt"
)

// Values of the keys.
const (
	// ValueDisabled switches a treatment off.
	ValueDisabled = "disabled"

	// ValueEnabled switches a treatment on.
	ValueEnabled = "enabled"

	// ValueMerge applies the object without taking over fields that others have set.
	ValueMerge = "Merge"

	// ValueIfNotPresent creates the object and never changes it.
	ValueIfNotPresent = "IfNotPresent"

	// ValueIgnore neither applies nor prunes the object.
	ValueIgnore = "Ignore"
)

// KeyChecksum is an annotation of releases before server-side apply. It has no meaning
// any more and is removed from managed objects.
const KeyChecksum = GroupName + "/checksum"
