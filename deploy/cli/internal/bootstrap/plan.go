package bootstrap

import (
	"bytes"
	"fmt"
	"path"
	"slices"

	"weir.dev/deploy/install"
	"weir.dev/pkg/git"
	"weir.dev/pkg/manifest"
)

// Plan is what to do about a repository, and what follows.
type Plan struct {
	// Install is what is installed.
	Install install.Options
	// Files are all files of the installation, as they are to be, but for those that a user
	// has added.
	Files []git.Edit
	// Edits are the files that are written; without any, there is no commit.
	Edits []git.Edit
	// Message is that of the commit.
	Message string
	// Direct says that the commit goes to the branch even if a pull request is wanted: an
	// empty repository has nothing that it could be merged into.
	Direct bool
	// Notes are what people should know, and need do nothing about.
	Notes []string
}

// Decide returns what to do, or a Refusal. It depends on nothing but its arguments; render
// makes the manifest of an installation.
func Decide(o Options, tree Tree, live Live, render func(install.Options) ([]byte, error)) (Plan, error) {
	if err := mayTouch(o, live); err != nil {
		return Plan{}, err
	}
	if err := mayWrite(o, tree); err != nil {
		return Plan{}, err
	}
	written := describeComponents(tree.Files[componentsFile])
	for _, in := range []install.Installed{written, live.Installed} {
		if err := notOlder(o, in); err != nil {
			return Plan{}, err
		}
	}
	p := Plan{Install: o.Install, Direct: len(tree.Branches) == 0}
	for _, registry := range []string{written.Registry, live.Installed.Registry} {
		if p.Install.Registry == "" {
			p.Install.Registry = registry
		}
	}
	p.Notes = notes(o, live)
	return p, p.write(o, tree, render)
}

// describeComponents returns what a manifest of components tells.
func describeComponents(data []byte) install.Installed {
	objs, err := manifest.Read(data)
	if err != nil {
		return install.Installed{} // it is written anew
	}
	return install.Describe(objs)
}

// write decides on the files and on the commit.
func (p *Plan) write(o Options, tree Tree, render func(install.Options) ([]byte, error)) error {
	components, err := render(p.Install)
	if err != nil {
		return err
	}
	sync, err := syncManifests(o)
	if err != nil {
		return err
	}
	edit := func(name string, content []byte) bool {
		p.Files = append(p.Files, git.Edit{Path: path.Join(o.Folder(), name), Content: content})
		if bytes.Equal(tree.Files[name], content) {
			return false
		}
		p.Edits = append(p.Edits, p.Files[len(p.Files)-1])
		return true
	}
	newComponents := edit(componentsFile, components)
	newSync := edit(syncFile, sync)
	list, there := tree.Files[kustomizationFile]
	if !there { // an existing one is the user's
		list = []byte(listing)
	}
	newSync = edit(kustomizationFile, list) || newSync
	p.Message = message(o, newComponents, newSync)
	return nil
}

// messageStart is what the messages of our commits begin with.
const messageStart = "Add Flux "

// message is that of the commit.
func message(o Options, components, sync bool) string {
	text := messageStart + "sync manifests"
	switch {
	case components && sync:
		text = fmt.Sprintf(messageStart+"%s component and sync manifests", o.Install.Version)
	case components:
		text = fmt.Sprintf(messageStart+"%s component manifests", o.Install.Version)
	}
	if o.Commit.Appendix != "" {
		text += "\n\n" + o.Commit.Appendix
	}
	return text
}

// notes are what a run changes that somebody may not have thought of.
func notes(o Options, live Live) []string {
	var all []string
	note := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if live.Source != nil && !sameRepository(live.Source.URL, o.URL) {
		note("the cluster runs from %s, and will run from %s", withoutUser(live.Source.URL), withoutUser(o.URL))
	}
	if live.Source != nil && live.Source.Branch != "" && live.Source.Branch != o.Branch {
		note("the cluster follows the branch %q, and will follow %q", live.Source.Branch, o.Branch)
	}
	if live.Installed.Foreign {
		note("the controllers of another distribution are replaced, and their objects are taken over as they are")
	}
	for _, name := range install.Replaced(o.Install.Components) {
		if slices.Contains(live.Installed.Components, name) {
			note("%s is removed: %s takes its place", name, install.ImageController)
		}
	}
	return all
}
