package gitserver

// MaxLoose is how many objects of a commit are written as files.
const MaxLoose = maxLoose
