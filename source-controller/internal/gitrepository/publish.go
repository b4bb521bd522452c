package gitrepository

import (
	"context"
	"fmt"
	"io"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"weir.dev/pkg/artifact/archive"
)

// publish writes the archive of the snapshot, straight from its tree, and
// advertises it. What the advertised archive has already is copied from there.
func (r *Reconciler) publish(ctx context.Context, s *scope) error {
	files, err := kept(s.files, s.repo.Spec.Ignore)
	if err != nil {
		return err
	}
	earlier, done := r.earlier(ctx, s)
	defer done()
	err = r.shelf.Put(s.repo, s.target.Commit.String()+".tar.gz", s.target.Revision(), func(w io.Writer) error {
		limits := archive.Limits{MaxSize: -1} // the store has the limit
		return archive.WriteTree(w, limits, nodes(files), contents(files), earlier)
	})
	if err != nil {
		return err
	}
	observe(s)
	s.did.Stored = fmt.Sprintf("stored artifact for commit '%s'", subject(s.snapshot.Commit.Message))
	return nil
}

// earlier opens the advertised archive for copying, until done is called. There is
// none at first, and none that Flux wrote can be used; then everything is written.
func (r *Reconciler) earlier(ctx context.Context, s *scope) (from *archive.Earlier, done func()) {
	f, err := r.shelf.Open(s.repo)
	if err != nil {
		return nil, func() {}
	}
	info, err := f.Stat()
	if err == nil {
		from, err = archive.ReadEarlier(f, info.Size())
	}
	if err != nil {
		log.FromContext(ctx).V(1).Info("the archive is written as a whole", "why", err.Error())
	}
	return from, func() { _ = f.Close() } // it was only read
}

// nodes returns files as the archive has them.
func nodes(files []file) []archive.Node {
	list := make([]archive.Node, len(files))
	for i, f := range files {
		list[i] = archive.Node{Path: f.Path, Dir: f.Dir, Executable: f.Executable, Content: f.content()}
	}
	return list
}

// contents are the contents of files.
type contents []file

// Size implements archive.Files.
func (c contents) Size(i int) (int64, error) { return c[i].from.Size(c[i].Entry) }

// Open implements archive.Files.
func (c contents) Open(i int) (io.ReadCloser, error) {
	content, _, err := c[i].open()
	return content, err
}
