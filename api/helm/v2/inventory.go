package v2

// ResourceInventory is the set of objects of a release: those of its manifest, without
// hooks, and the custom resource definitions of its chart.
type ResourceInventory struct {
	// Entries has one entry for each object. A list without entries must be empty,
	// not nil.
	Entries []ResourceRef `json:"entries"`
}

// ResourceRef identifies an object.
type ResourceRef struct {
	// ID is the namespace, name, group and kind of the object, joined by underscores.
	// The namespace of a cluster-scoped object is empty, and so is the group of the
	// core API. A colon in a name is written as two underscores.
	ID string `json:"id"`

	// Version is the version of the API by which the object was applied, without the
	// group.
	Version string `json:"v"`
}
