package source

import (
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
)

// MaxIgnoreFile bounds one .sourceignore file, in bytes.
const MaxIgnoreFile = 1 << 20

// IgnoreFile is one .sourceignore file of a tree.
type IgnoreFile struct {
	Folder  string // that it is in; ends with a slash, unless it is the root, ""
	Content []byte
}

// IgnoreFolder reports whether a path is that of a .sourceignore file, and which
// folder it is for.
func IgnoreFolder(path string) (folder string, ok bool) {
	folder, ok = strings.CutSuffix(path, sourceignore.IgnoreFile)
	return folder, ok && (folder == "" || strings.HasSuffix(folder, "/"))
}

// Ignored decides what is left out of an archive. The last rule that matches a path
// counts: those of a folder come after those of the folders above it, and those of
// the spec at last. What Git itself keeps in a repository is left out unless a rule
// brings it back; the other defaults apply only where there is no rule at all.
func Ignored(files []IgnoreFile, spec *string) gitignore.Matcher {
	files = slices.SortedFunc(slices.Values(files), func(a, b IgnoreFile) int { return strings.Compare(a.Folder, b.Folder) })
	var all []rule
	for _, f := range files {
		var domain []string
		if f.Folder != "" {
			domain = strings.Split(strings.TrimSuffix(f.Folder, "/"), "/")
		}
		all = append(all, readRules(f.Content, domain)...)
	}
	if spec != nil {
		all = append(all, readRules([]byte(*spec), nil)...)
	}
	if len(all) == 0 {
		all = listedRules(sourceignore.ExcludeExt, sourceignore.ExcludeCI, sourceignore.ExcludeExtra)
	}
	return newRules(append(listedRules(sourceignore.ExcludeVCS), all...))
}
