package bootstrap

import (
	"net/url"
	"strings"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/install"
	"weir.dev/pkg/manifest"
)

// mayTouch refuses what the cluster is not ready for, or would lose by.
func mayTouch(o Options, live Live) error {
	ns := o.Install.Namespace
	for _, f := range live.Missing {
		return refuse(Prerequisite, "%s", f.Text).next("%s", f.Do)
	}
	if live.Terminating {
		return refuse(BeingDeleted, "the namespace %q is being deleted", ns).
			next("wait until it is gone; if finalizers keep it: weir uninstall -n %s", ns)
	}
	if live.ManagedBy != "" && !o.accepts(ManagedByOther) {
		return refuse(ManagedByOther, "the definitions of the cluster are managed by %s, and would be by Git", live.ManagedBy).
			next("take that installation out by %s first, or take it over: --force", live.ManagedBy)
	}
	if len(live.Elsewhere) > 0 && !live.Installed.WatchesAll() && o.Install.WatchAllNamespaces && !o.accepts(Elsewhere) {
		return refuse(Elsewhere, "there are controllers in namespace %q, which work on the same objects", live.Elsewhere[0]).
			next("bootstrap those: -n %s; or have the new ones watch their own namespace: --watch-all-namespaces=false; or insist: --force", live.Elsewhere[0])
	}
	if err := maySync(o, live.Sync); err != nil {
		return err
	}
	return mayFollow(o, live)
}

// maySync refuses what the Kustomization of the cluster is not ready for.
func maySync(o Options, sync *Sync) error {
	ns := o.Install.Namespace
	switch {
	case sync == nil:
		return nil
	case sync.Deleting:
		return refuse(BeingDeleted, "Kustomization %s/%s, by which the cluster follows its repository, is being deleted", ns, ns).
			next("have the controllers finish that, or take out what is left: weir uninstall -n %s", ns)
	case sync.Path != o.Path:
		return refuse(OtherPath, "the cluster runs from the path %q, and this would have it run from %q", "./"+sync.Path, o.syncPath()).
			next("use --path=./%s; to move a cluster, move the folder in Git and edit spec.path of Kustomization %s/%s there", sync.Path, ns, ns)
	case sync.Suspended:
		return refuse(Suspended, "Kustomization %s/%s is suspended, so that the cluster does not follow its repository", ns, ns).
			next("weir resume kustomization %s -n %s", ns, ns)
	}
	return nil
}

// mayFollow refuses to have the cluster follow something else, if that costs what is there.
func mayFollow(o Options, live Live) error {
	ns, source := o.Install.Namespace, live.Source
	switch {
	case source == nil:
		return nil
	case source.Deleting:
		return refuse(BeingDeleted, "GitRepository %s/%s, which the cluster runs from, is being deleted", ns, ns).
			next("have the controllers finish that, or take out what is left: weir uninstall -n %s", ns)
	case source.Suspended:
		return refuse(Suspended, "GitRepository %s/%s is suspended, so that the cluster does not follow its repository", ns, ns).
			next("weir resume source git %s -n %s", ns, ns)
	case source.Pinned != "" && !o.accepts(Pinned):
		return refuse(Pinned, "the cluster is held at %s, and would follow the branch %q", source.Pinned, o.Branch).
			next("let it follow a branch by an edit of %s in Git, or insist: --force", syncFile)
	}
	moves := !sameRepository(source.URL, o.URL) || source.Branch != o.Branch && source.Branch != ""
	if lost := belongings(o, live); moves && lost > 0 && !o.accepts(OtherSource) {
		return refuse(OtherSource, "the cluster runs %d more objects from branch %q of %s; those that branch %q of %s does not have would be deleted",
			lost, source.Branch, withoutUser(source.URL), o.Branch, withoutUser(o.URL)).
			next("move the files first, and insist then: --force")
	}
	return nil
}

// belongings is how many objects the cluster has from its repository, apart from the
// installation itself.
func belongings(o Options, live Live) int {
	if live.Sync == nil {
		return 0
	}
	n := 0
	for _, id := range live.Sync.Inventory.IDs() {
		own := ofInstallation(o.Install.Namespace, id)
		if !own {
			n++
		}
	}
	return n
}

// kindsOfInstallation are those of its objects in its namespace.
var kindsOfInstallation = map[string]bool{
	"Deployment": true, "Service": true, "ServiceAccount": true, "NetworkPolicy": true, "ResourceQuota": true, "PodDisruptionBudget": true,
	"Role": true, "RoleBinding": true,
}

// ofInstallation reports whether an object is of the installation of a namespace itself: what
// runs it, and what it follows its repository by. Whatever else is in that namespace, as
// the Kustomizations of applications, is not.
func ofInstallation(namespace string, id manifest.ID) bool {
	switch {
	case id.Namespace == namespace:
		sync := (id.Kind == kustomizev1.KustomizationKind || id.Kind == sourcev1.GitRepositoryKind) && id.Name == namespace
		return sync || kindsOfInstallation[id.Kind]
	case id.Namespace != "":
		return false
	case id.Kind == "CustomResourceDefinition":
		return strings.HasSuffix(id.Name, ".toolkit.fluxcd.io")
	default:
		return id.Kind == "Namespace" && id.Name == namespace || strings.HasPrefix(id.Kind, "ClusterRole") && strings.HasSuffix(id.Name, "-"+namespace)
	}
}

// mayWrite refuses what the repository would lose by, or what would do no good there.
func mayWrite(o Options, tree Tree) error {
	if tree.Commit.IsZero() && len(tree.Branches) > 0 {
		return noBranch(o, tree)
	}
	if err := alone(o, tree); err != nil {
		return err
	}
	folder := o.Folder()
	for _, name := range []string{componentsFile, syncFile} {
		if data, there := tree.Files[name]; there && !isGenerated(data) && !o.accepts(NotOurs) {
			return refuse(NotOurs, "%s/%s is not written by this command, which would overwrite it", folder, name).
				next("rename it, use another --path, or insist: --force")
		}
	}
	if tree.Unlisted != "" {
		return refuse(NotListed, "%s does not list %q, so that the cluster would not manage its own controllers", tree.Unlisted, o.Install.Namespace).
			next("add %q to its resources", o.Install.Namespace)
	}
	_, begun := tree.Files[syncFile]
	if o.Path == "" && !o.PathGiven && !begun && tree.Manifests > 0 && !o.accepts(WholeRepository) {
		return refuse(WholeRepository, "the repository has %d files of manifests, and without --path the cluster would apply all of them", tree.Manifests).
			next("give the cluster a folder: --path=clusters/<name>; or say that all is meant: --path=./")
	}
	return nil
}

// noBranch refuses a branch that a repository does not have, though it has others.
func noBranch(o Options, tree Tree) error {
	r := refuse(NoBranch, "the repository has no branch %q", o.Branch)
	if tree.Default != "" {
		return r.next("use its default branch: --branch=%s; or make the branch first", tree.Default)
	}
	return r.next("use one that there is: --branch=%s; or make the branch first", strings.Join(tree.Branches[:min(len(tree.Branches), 5)], "|"))
}

// alone refuses a folder that another cluster runs from, too.
func alone(o Options, tree Tree) error {
	folder := o.Folder()
	for _, other := range tree.Other {
		return refuse(OtherInstallation, "the repository has the installation of namespace %q in %q, which applies %q: that and %q would be applied by both clusters",
			other.Namespace, other.Folder, "./"+other.Path, o.syncPath()).
			next("give each cluster a folder of its own that is not inside of the other: --path=clusters/<name>")
	}
	if sync, there := tree.Files[syncFile]; there {
		if in := describe(folder, sync); in.Path != o.Path {
			return refuse(OtherInstallation, "%s/%s is of a cluster that runs from %q, and not from %q", folder, syncFile, "./"+in.Path, o.syncPath()).
				next("use --path=./%s, or remove the folder %q from Git if it was copied", in.Path, folder)
		}
	}
	return nil
}

// notOlder refuses to go back to an older version.
func notOlder(o Options, in install.Installed) error {
	if !in.Newer(o.Install.Version) || o.accepts(Older) {
		return nil
	}
	return refuse(Older, "weir %s is installed, and %s is older: objects may lose fields that it does not know", in.Version, o.Install.Version).
		next("use the weir command of %s or newer, or insist: --force", in.Version)
}

// sameRepository reports whether two URLs are of one repository, however it is reached.
func sameRepository(a, b string) bool {
	x, err := url.Parse(a)
	if err != nil {
		return a == b
	}
	y, err := url.Parse(b)
	if err != nil {
		return false
	}
	place := func(u *url.URL) string { return strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git") }
	host := func(u *url.URL) string {
		name := strings.ToLower(u.Hostname())
		for _, prefix := range []string{"ssh.", "altssh."} { // of hosts that have another name for SSH
			name = strings.TrimPrefix(name, prefix)
		}
		return name
	}
	return host(x) == host(y) && place(x) == place(y)
}

// withoutUser is a URL as it can be shown.
func withoutUser(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL that cannot be parsed"
	}
	u.User = nil
	return u.String()
}
