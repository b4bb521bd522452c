package overlay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// opening begins each document of what the SDK renders; the name of its template follows.
const opening = "---\n# Source: "

// document is one object as YAML, and the template that it comes from.
type document struct {
	source string
	text   string
	kind   string // once it was laid over, and so are those below
	name   string
	hook   bool
}

// split returns the documents of what the SDK rendered.
func split(rendered string) []document {
	var docs []document
	for _, part := range strings.Split("\n"+rendered, "\n"+opening)[1:] {
		source, text, _ := strings.Cut(part, "\n")
		docs = append(docs, document{source: source, text: strings.TrimSuffix(text, "\n")})
	}
	return docs
}

// inFiles orders documents by their templates, and ends the last of each with a newline, as the
// templates are, which matters to a block of text at the end. The others are cut at what
// separates them from the next, as Helm 4 and so Flux does it.
func inFiles(docs []document) []document {
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b document) int { return strings.Compare(a.source, b.source) })
	for i := range docs {
		if i+1 == len(docs) || docs[i+1].source != docs[i].source {
			docs[i].text += "\n"
		}
	}
	return docs
}

// join writes documents that are in the order of their templates as Helm writes them: in the
// order of installation by kind.
func join(docs []document) string {
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b document) int { return compareKinds(a.kind, b.kind) })
	var out strings.Builder
	for _, d := range docs {
		out.WriteString(opening)
		out.WriteString(d.source)
		out.WriteByte('\n')
		out.WriteString(d.text)
		out.WriteByte('\n')
	}
	return out.String()
}

// closed orders documents by their templates and takes the newline off the end of all but
// the last of each. So an empty line follows that one when they are written.
func closed(docs []document) []document {
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b document) int { return strings.Compare(a.source, b.source) })
	for i := range docs {
		if i+1 < len(docs) && docs[i+1].source == docs[i].source {
			docs[i].text = strings.TrimSuffix(docs[i].text, "\n")
		}
	}
	return docs
}

// compareKinds orders kinds as Helm installs them; those that it does not know come last.
func compareKinds(a, b string) int {
	i, j := installed(a), installed(b)
	if c := cmp.Compare(i, j); c != 0 || i < len(releaseutil.InstallOrder) {
		return c
	}
	return strings.Compare(a, b)
}

func installed(kind string) int {
	if i := slices.Index(releaseutil.InstallOrder, kind); i >= 0 {
		return i
	}
	return len(releaseutil.InstallOrder)
}

// asHooks returns the hook that a document is; none if Helm does not know its event.
func asHooks(d document) ([]*release.Hook, error) {
	hooks, _, err := releaseutil.SortManifests(map[string]string{d.source: d.text}, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, fmt.Errorf("reading hook %s %s: %w", d.kind, d.name, err)
	}
	for _, h := range hooks {
		h.Manifest = strings.TrimSuffix(d.text, "\n") + "\n" // a block at the end needs it
	}
	return hooks, nil
}
