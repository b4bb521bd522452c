// Package bootstrap makes a cluster run from a Git repository, its own controllers
// included: it writes what installs them and what follows the repository into the
// repository, brings both into the cluster, and waits until the cluster runs from that
// commit. From then on, who edits those files in Git changes the controllers.
//
// What to write and what to refuse is decided by pure functions, from what there is in the
// repository (Tree) and in the cluster (Live). Everything that is done is looked for first,
// so that a run which was interrupted anywhere is finished by the next one, and a run with
// nothing to do changes nothing. Commits need no checkout: they are made on the tree of the
// branch as it was seen, and pushed if it is still there. If not, all is decided anew.
package bootstrap

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"weir.dev/deploy/install"
	"weir.dev/pkg/git"
)

// Options say what the cluster is to run from.
type Options struct {
	// Install is what is to be installed. Its Registry may be empty: then it is the one of
	// what there is.
	Install install.Options
	// Said has what of Install somebody has said. The rest stays as it is in Git. Without it,
	// all is said.
	Said install.Said
	// URL is that of the repository, as the cluster reaches it.
	URL string
	// Branch is the one that the cluster follows.
	Branch string
	// Path is the folder of the cluster, as CleanPath returns it.
	Path string
	// PathGiven says that somebody has said so, so that the root of a repository is meant.
	PathGiven bool
	// Secret names the Secret with which the cluster gets in to the repository.
	Secret string
	// Interval is how often it looks for a new commit.
	Interval time.Duration
	// RecurseSubmodules and SparseCheckout are those of the GitRepository.
	RecurseSubmodules bool
	SparseCheckout    []string
	// Commit says who commits, and what a message ends with.
	Commit Commit
	// PullRequest names a branch that is pushed in place of Branch, to be merged by people;
	// "" means that Branch itself is pushed.
	PullRequest string
	// Accepted are the reasons that are no reason to refuse.
	Accepted func(Reason) bool
}

// Commit says who commits.
type Commit struct {
	Name, Email string
	Appendix    string // of the message
	Signer      git.Signer
}

// Validate refuses options of which nothing good can come, naming the flag.
func (o Options) Validate() error {
	u, err := git.ParseURL(o.URL)
	switch {
	case err != nil:
		return fmt.Errorf("the URL of the repository: %w", err)
	case u.User != nil && u.Scheme != "ssh":
		return fmt.Errorf("the URL of the repository has a user name or password, which would be in Git for everybody to see: use --username and --password")
	case o.Branch == "" || strings.HasPrefix(o.Branch, "refs/"):
		return fmt.Errorf("--branch is %q: use the name of a branch, as in main", o.Branch)
	case o.PullRequest == o.Branch:
		return fmt.Errorf("--pull-request-branch is %q: a branch cannot be merged into itself", o.PullRequest)
	case o.Interval < time.Second:
		return fmt.Errorf("--interval is %s: use a second or more", o.Interval)
	case o.Secret == "":
		return fmt.Errorf("--secret-name is empty")
	}
	for _, name := range []string{install.SourceController, install.KustomizeController} {
		if !slices.Contains(o.Install.Components, name) {
			return fmt.Errorf("--components leaves out %s, without which no cluster runs from Git", name)
		}
	}
	return nil
}

// Names of the files of an installation, in its folder.
const (
	componentsFile    = "gotk-components.yaml"
	syncFile          = "gotk-sync.yaml"
	kustomizationFile = "kustomization.yaml"

	// besideFile has what of another distribution goes on to run. It is the user's.
	besideFile = "gotk-flux.yaml"
)

// CleanPath returns a path of a repository without what does not matter: "" is the root.
func CleanPath(given string) (string, error) {
	clean := path.Clean(strings.TrimLeft(given, "/"))
	switch {
	case clean == "." || given == "":
		return "", nil
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", fmt.Errorf("--path is %q: that is outside of the repository", given)
	case strings.ContainsAny(clean, "\\\x00\n\r"):
		return "", fmt.Errorf("--path is %q: use a path with slashes", given)
	}
	return clean, nil
}

// Folder is where the files of the installation are.
func (o Options) Folder() string { return path.Join(o.Path, o.Install.Namespace) }

// syncPath is the path of the Kustomization that follows the repository.
func (o Options) syncPath() string { return "./" + o.Path }

// KeyName is what the deploy key of the cluster is called at its host.
func (o Options) KeyName() string {
	return strings.Join([]string{o.Install.Namespace, o.Branch, o.Secret, o.syncPath()}, "-")
}

// accepts reports whether a reason is none to refuse.
func (o Options) accepts(r Reason) bool { return o.Accepted != nil && o.Accepted(r) }
