package bootstrap

import (
	"bytes"
	"cmp"
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
	written := describeComponents(tree.Files[componentsFile])
	o.Install = settled(o, tree, live, written)
	if err := mayTouch(o, live); err != nil {
		return Plan{}, err
	}
	if err := mayWrite(o, tree); err != nil {
		return Plan{}, err
	}
	for _, in := range []install.Installed{written, live.Installed} {
		if err := notOlder(o, in); err != nil {
			return Plan{}, err
		}
	}
	p := Plan{Install: o.Install, Direct: len(tree.Branches) == 0}
	p.notes(o, live, written)
	return p, p.write(o, tree, render)
}

// settled returns what is to be installed: what nobody has said is as it is in Git, and else
// as in the cluster, of which the options know already.
func settled(o Options, tree Tree, live Live, written install.Installed) install.Options {
	i := o.Install.Keep(written, o.Said)
	i.Registry = cmp.Or(i.Registry, live.Installed.Registry)
	there := slices.Concat(i.Beside, written.Components, describeComponents(tree.Files[besideFile]).Components)
	i.Beside = install.Beside(there)
	return i
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
	list, there := tree.Files[kustomizationFile]
	if !there { // an existing one is the user's
		list = []byte(listing)
	}
	newComponents := p.edit(o, tree, componentsFile, components)
	newSync := p.edit(o, tree, syncFile, sync)
	if list, err = p.keepBeside(o, tree, list); err != nil {
		return err
	}
	newSync = p.edit(o, tree, kustomizationFile, list) || newSync
	p.Message = message(o, newComponents, newSync)
	return nil
}

// edit has a file be as it is to be, and reports whether it is written.
func (p *Plan) edit(o Options, tree Tree, name string, content []byte) bool {
	p.Files = append(p.Files, git.Edit{Path: path.Join(o.Folder(), name), Content: content})
	if have, there := tree.Files[name]; there && bytes.Equal(have, content) {
		return false
	}
	p.Edits = append(p.Edits, p.Files[len(p.Files)-1])
	return true
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

// note adds a note.
func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// notes tells what a run changes that somebody may not have thought of.
func (p *Plan) notes(o Options, live Live, written install.Installed) {
	if live.Source != nil && !sameRepository(live.Source.URL, o.URL) {
		p.note("the cluster runs from %s, and will run from %s", withoutUser(live.Source.URL), withoutUser(o.URL))
	}
	if live.Source != nil && live.Source.Branch != "" && live.Source.Branch != o.Branch {
		p.note("the cluster follows the branch %q, and will follow %q", live.Source.Branch, o.Branch)
	}
	if live.Installed.Foreign {
		p.note("the controllers of another distribution are replaced, and their objects are taken over as they are")
	}
	for _, name := range install.Replaced(o.Install.Components) {
		if slices.Contains(live.Installed.Components, name) {
			p.note("%s is removed: %s takes its place", name, install.ImageController)
		}
	}
	was := written
	if was.Shape == nil {
		was = live.Installed
	}
	for _, looser := range o.Install.Looser(was) {
		p.note("%s", looser)
	}
}
