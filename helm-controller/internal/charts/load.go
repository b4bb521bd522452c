package charts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"weir.dev/pkg/artifact/archive"
)

const (
	metadataFile = "Chart.yaml"
	subcharts    = "charts/"
	packed       = ".tgz"

	// maxDepth bounds how deep subcharts may be within each other.
	maxDepth = 20

	// perFile is what a file takes besides its content, on average.
	perFile = 256
)

// utf8BOM is what some editors begin a file with.
var utf8BOM = []byte{0xEF, 0xBB, 0xBF}

// load reads the chart in a tree, which is that of an archive: in a folder of any name, or at
// its root.
func load(tree fs.FS, opts Options) (_ *loaded, err error) {
	defer func() {
		if r := recover(); r != nil { // what is read is not ours, and neither is the code that reads it
			err = fmt.Errorf("%w: it cannot be read: %v", ErrInvalid, r)
		}
	}()
	l := &loading{opts: opts}
	files, err := l.tree(tree)
	if err != nil {
		return nil, err
	}
	c, err := l.chart("", files, 0)
	if err != nil {
		return nil, err
	}
	return &loaded{chart: c, size: l.bytes + perFile*int64(l.files)}, nil
}

// loading reads one chart, and knows how much of it there was until now.
type loading struct {
	opts  Options
	bytes int64
	files int
}

type files = []*loader.BufferedFile

// tree reads all files in a tree.
func (l *loading) tree(tree fs.FS) (files, error) {
	var out files
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := l.admit(name, info.Size()); err != nil {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		out = append(out, file(name, data))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return inside(out)
}

// archive reads all files in an archive within a chart.
func (l *loading) archive(at string, data []byte) (files, error) {
	limits := archive.Limits{
		MaxSize:     -1, // all of it is here
		MaxUnpacked: max(1, l.opts.MaxUnpacked-l.bytes),
		MaxFiles:    max(1, l.opts.MaxFiles-l.files),
	}
	var out files
	err := archive.Read(bytes.NewReader(data), limits, func(e archive.Entry, content io.Reader) error {
		if e.Dir {
			return nil
		}
		if err := l.admit(path.Join(at, e.Path), e.Size); err != nil {
			return err
		}
		data, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		out = append(out, file(e.Path, data))
		return nil
	})
	if errors.Is(err, archive.ErrCorrupt) || errors.Is(err, archive.ErrTooLarge) {
		err = fmt.Errorf("%w: %s: %w", ErrInvalid, at, err)
	}
	if err != nil {
		return nil, err
	}
	return inside(out)
}

// admit counts a file, and refuses it if it is one too many or too large.
func (l *loading) admit(name string, size int64) error {
	l.files++
	l.bytes += size
	switch {
	case size > l.opts.MaxFile:
		return fmt.Errorf("%w: %s has %d bytes: more than %d are not read", ErrInvalid, name, size, l.opts.MaxFile)
	case l.files > l.opts.MaxFiles:
		return fmt.Errorf("%w: it has more than %d files", ErrInvalid, l.opts.MaxFiles)
	case l.bytes > l.opts.MaxUnpacked:
		return fmt.Errorf("%w: its files have more than %d bytes", ErrInvalid, l.opts.MaxUnpacked)
	}
	return nil
}

// file returns a file of an archive. Some archives are made on Windows, or by editors that
// begin a file with a mark.
func file(name string, data []byte) *loader.BufferedFile {
	return &loader.BufferedFile{Name: strings.ReplaceAll(name, `\`, "/"), Data: bytes.TrimPrefix(data, utf8BOM)}
}

// inside returns the files of an archive under the names that they have in the chart: without
// the folder that the chart is in, if it is in one. What is beside the folder is of no chart.
func inside(all files) (files, error) {
	for _, f := range all {
		if !fs.ValidPath(f.Name) {
			return nil, fmt.Errorf("%w: %q is not the path of a file", ErrInvalid, f.Name)
		}
	}
	if hasMetadata(all) {
		return all, nil
	}
	var out files
	for _, f := range all {
		if _, name, ok := strings.Cut(f.Name, "/"); ok {
			out = append(out, &loader.BufferedFile{Name: name, Data: f.Data})
		}
	}
	return out, nil
}

func hasMetadata(all files) bool {
	return slices.ContainsFunc(all, func(f *loader.BufferedFile) bool { return f.Name == metadataFile })
}

// chart makes a chart of its files; at is where the chart is within others, "" for the root.
func (l *loading) chart(at string, all files, depth int) (*chart.Chart, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: %s: more than %d charts are within each other", ErrInvalid, at, maxDepth)
	}
	own, subs := divide(all)
	if !hasMetadata(own) {
		return nil, fmt.Errorf("%w: %s is missing", ErrInvalid, path.Join(at, metadataFile))
	}
	c, err := loader.LoadFiles(own)
	if err != nil {
		return nil, fmt.Errorf("%w: %s%w", ErrInvalid, prefix(at), err)
	}
	if v := c.Metadata.APIVersion; v != chart.APIVersionV1 && v != chart.APIVersionV2 {
		return nil, fmt.Errorf("%w: %s: apiVersion %q is not supported: it can be %q or %q",
			ErrInvalid, path.Join(at, metadataFile), v, chart.APIVersionV1, chart.APIVersionV2)
	}
	if err := checkSchema(c.Schema); err != nil {
		return nil, fmt.Errorf("%w: %s%w", ErrInvalid, prefix(at), err)
	}
	c.Raw = nil // which is for showing files as they were
	for _, name := range slices.Sorted(maps.Keys(subs)) {
		within := path.Join(at, subcharts, name)
		files := subs[name]
		if path.Ext(name) == packed {
			if files, err = l.archive(within, files[0].Data); err != nil {
				return nil, err
			}
		}
		sub, err := l.chart(within, files, depth+1)
		if err != nil {
			return nil, err
		}
		c.AddDependency(sub)
	}
	return c, nil
}

// divide takes the files of subcharts out of those of a chart, by the name of the folder or
// archive that a subchart is in. What is beside them is none, and is left out.
func divide(all files) (own files, subs map[string]files) {
	subs = make(map[string]files)
	for _, f := range all {
		rest, ok := strings.CutPrefix(f.Name, subcharts)
		if !ok || path.Ext(f.Name) == ".prov" {
			own = append(own, f)
			continue
		}
		name, inside, folder := strings.Cut(rest, "/")
		if name[0] == '_' || name[0] == '.' || folder == (path.Ext(name) == packed) {
			continue
		}
		subs[name] = append(subs[name], &loader.BufferedFile{Name: inside, Data: f.Data})
	}
	return own, subs
}

// prefix is what is said before something about a chart within others.
func prefix(at string) string {
	if at == "" {
		return ""
	}
	return at + ": "
}
