// Package tenant works in the name of others: as a ServiceAccount, and in other
// clusters. It keeps what that takes between runs: connections, what discovery told,
// and the watches of what was applied.
//
// A cluster is watched by one identity, whoever its objects are applied as: in this
// cluster by the controller itself, in another by the one in the kubeconfig. What is
// watched are objects that carry our owner labels. All else is read and written as the
// tenant, so that nobody learns or does more than they may.
package tenant
