package build

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// remote matches what kustomize takes for the address of a Git repository, which it clones with the
// git command, and some more that only look like one. It covers all entries that start so, whether
// or not the rest makes an address: no entry may reach that code.
var remote = regexp.MustCompile(`(?i)^(` +
	`[a-z][a-z0-9+.-]*:(//|:)` + // https://, ssh://, git::, s3::
	`|[a-z][a-z0-9-]*@[^/:]*[/:].*(/|\.git)` + // git@example.com:org/repo
	`|(gh|gist):` +
	`|github\.com[/:]` +
	`)`)

// isRemote says whether kustomize would look for an entry on another machine, or in a repository
// elsewhere on this one.
func isRemote(entry string) bool {
	if remote.MatchString(entry) {
		return true
	}
	u, err := url.Parse(entry) // as kustomize does to find out what to get by HTTP
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// misplaced says what is wrong with a path in a kustomization, "" for nothing.
func misplaced(dir, entry string) string {
	switch {
	case entry == "":
		return "is empty: name a file or a directory"
	case isRemote(entry):
		return "is remote: put a copy into the source, or write ./ in front if it is a path in the source"
	case strings.HasPrefix(entry, "/"):
		return "is absolute: write it relative to the kustomization file"
	case outside(path.Join(dir, entry)):
		return "climbs out of the source: it must stay below its root"
	}
	return ""
}
