// Package cluster is through what the Helm SDK works on the objects of a release: its
// kube client, for one action, over weir's engine.
//
// The SDK renders, remembers and orders; what it asks of its client is done so:
//
//   - Objects of a release are applied server-side, in parallel, each batch validated as
//     a whole before its first write. One that is as it was left, by all that is known of
//     it, costs no request. Where the release is applied client-side, the SDK's own
//     client does it.
//   - Whether an object exists already is not asked before it is taken over: to
//     server-side apply that makes no difference. See Options.TakeOwnership.
//   - Objects of hooks are nobody's after their hook: nothing tells whether they change.
//     Jobs and Pods of hooks are created afresh each time.
//   - Waiting is watching, and ends at once when something has failed. What a wait that
//     was in vain says names the objects, and what is wrong with their Pods.
//   - Nothing is deleted that carries the name of another release.
//
// The SDK has no contexts, so a Client has that of its action: when it ends, requests and
// waits do, and whatever the SDK asks then fails. That is how an action is interrupted.
//
// No error and no line of the log has what is in a Secret.
package cluster
