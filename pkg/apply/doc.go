// Package apply brings objects into a cluster by server-side apply, and takes out
// those that are no longer wanted, in an order in which a crash between any two
// requests loses track of nothing.
//
// The caller and the engine share that order:
//
//  1. The caller makes a Plan: what to write, what is as it should be already.
//  2. The caller records the old and the new identities together, before anything
//     is created.
//  3. Engine.Apply writes stage after stage: definitions and namespaces, classes,
//     then everything else. A stage is validated whole by dry run before its first
//     write, so a stage that cannot succeed changes nothing.
//  4. Engine.Prune deletes what is old and not new, only if every apply succeeded,
//     and only the very object that was recorded as ours.
//  5. The caller records the new identities alone, after the deletion.
//
// An object whose content is as last applied, and which a Tracker has seen intact
// since, is not asked about at all. Of the objects that a stage must write, the
// first needs no dry run, because its write is refused or done as a whole; content
// that was applied before needs none either. So a stage of n new objects costs
// 2n−1 requests, one changed object one, an unchanged stage none.
//
// Fields that the caller does not apply are left to others, but for managers whose
// fields are taken over (see Managers): the answers that the engine gets anyway tell
// whether there are any, and if so it costs two more requests to make them ours and let
// go of them. Fields that an IgnoreRule names keep the value that they have, at one look
// before a write.
//
// A dry run of a plan tells what it would put back, and writes nothing: of each object that
// is not known to be intact, it costs a look and a dry run. What turns out to be as it
// should be is known from then on, and who was told of the rest hears of it again when
// there is more.
//
// The engine decides nothing about time: it never retries, and the caller's
// context bounds it.
package apply
