// Package gitserver serves the bare repositories of one directory over smart HTTP and
// SSH, and makes such repositories and commits in them without a work tree.
//
// It is a real server. With the git command it speaks through `git http-backend`,
// `git upload-pack` and `git receive-pack`; without it, through go-git, which knows
// neither shallow fetches nor side bands. Only the smart protocol is served, and only
// repositories inside the directory: names are checked, and so is where symbolic
// links lead. A repository is found with and without ".git" at the end of its name.
//
//	repo, err := gitserver.Init(dir, "fleet")
//	rev, err := repo.Commit("main", "add app", gitserver.File("app.yaml", "kind: App\n"))
//	handler, err := gitserver.NewHandler(dir, gitserver.Options{})
//	err = http.Serve(listener, handler)
//
// [Repo] and the servers may be used at the same time, and beside a git command that
// works in the same directory: objects and refs appear at once and whole.
//
// A repository may refuse pushes to a branch ([Repo.Protect]) and keep the options of
// pushes ([Repo.AcceptOptions]), with both back ends.
//
// Middleware breaks answers on purpose ([Hang], [Truncate], [Status], ...) and counts
// them ([Counter]), so that clients can be tested against a server that misbehaves.
//
// Listening, TLS, deadlines and limits are the caller's, by net/http.
package gitserver
