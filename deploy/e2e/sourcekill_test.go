package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
)

const (
	// sourceKills is how often source-controller is killed, and sourceKillsMax how often
	// at most, where no kill before came while it wrote.
	sourceKills, sourceKillsMax = 12, 60
	// bigFiles and bigFile are the number and the size of the files that make
	// archiving take a while.
	bigFiles, bigFile = 16, 512 << 10
	// writeDelay and anyDelay bound how long a controller lives after it was seen
	// writing, and after a commit.
	writeDelay, anyDelay = 50 * time.Millisecond, 400 * time.Millisecond
	// retained is how many artifacts of a source are kept by default.
	retained = 2
)

// TestKillWhileWritingArtifacts kills source-controller again and again, most often
// while it writes an artifact. Nobody may ever see a wrong byte, and nothing may be
// left behind.
func TestKillWhileWritingArtifacts(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	s := newSourceStory(t, rand.New(rand.NewPCG(seed, 0)))
	s.tellers = append(s.tellers, func() { t.Logf("the random numbers are of seed %d; %s", seed, s.consumer) })

	kills, interrupted := 0, 0
	for ; kills < sourceKills || interrupted == 0 && kills < sourceKillsMax; kills++ {
		before := s.below(isHalfWritten) // of the last one, which the next removes
		writes := func() bool {
			return slices.ContainsFunc(s.below(isHalfWritten), func(path string) bool { return !slices.Contains(before, path) })
		}
		program := s.start()
		s.commit()
		longest := writeDelay
		if kills%3 == 2 {
			s.waitPublished()
			s.commit()
			longest = anyDelay
		} else {
			s.Eventually("an artifact being written", func() bool { return writes() || s.isPublished() })
		}
		if kills%3 != 0 { // else at once, since a fast machine writes an artifact in no time
			s.pass(time.Duration(s.random.Int64N(int64(longest))), program.Ended())
		}
		s.kill(program)
		if writes() {
			interrupted++
		}
	}
	if interrupted == 0 {
		t.Error("no kill came while an artifact was written; the test shows nothing")
	}

	s.start()
	s.commit()
	s.waitPublished()
	newest := s.newest
	s.Eventually("the newest commit downloaded", func() bool { return s.consumer.hasSeen(newest) })
	s.Poke(s.source) // a run removes what is superseded
	s.WaitHandled(s.source)
	s.stop()
	t.Logf("%d kills, of which %d while an artifact was written; %s", kills, interrupted, s.consumer)
	if left := s.below(isTemporary); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	if stored := s.below(isArtifact); len(stored) > retained {
		t.Errorf("%d artifacts are left: %q; want %d at most", len(stored), stored, retained)
	}
}

// sourceStory is a repository, a GitRepository of it, and who consumes its artifacts.
type sourceStory struct {
	*world
	random *rand.Rand

	repo    *gitserver.Repo
	known   *library
	commits int
	files   map[string]string // of the newest commit
	newest  string            // its number
	hash    string            // its hash; "" before the first

	addr     string // of the artifact server, across restarts
	source   *sourcev1.GitRepository
	consumer *consumer
	stop     func() // ends the consumer
}

func newSourceStory(t *testing.T, random *rand.Rand) *sourceStory {
	t.Helper()
	s := &sourceStory{world: newWorld(t), random: random, known: newLibrary(), files: make(map[string]string)}
	if err := s.stack.StartGit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var url string
	var err error
	if s.repo, url, err = s.stack.Repository("fleet"); err != nil {
		t.Fatal(err)
	}
	for i := range bigFiles {
		s.files[bigPath(i)] = noise(random, bigFile)
	}
	s.addr = freeAddress(t, random)
	s.source = &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
		Spec: sourcev1.GitRepositorySpec{
			URL: url, Interval: metav1.Duration{Duration: time.Hour}, Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
		},
	}
	s.Create(s.source)
	s.consumer, s.stop = newConsumer(s.world, s.source, "http://"+s.addr, s.known)
	return s
}

// start starts source-controller on the address and the storage of the one before.
func (s *sourceStory) start() *stack.Program {
	s.t.Helper()
	return s.startSource("--storage-addr=" + s.addr)
}

// commit commits a change and asks for a look at it, as a webhook would.
func (s *sourceStory) commit() {
	s.t.Helper()
	changed := bigPath(s.random.IntN(bigFiles))
	s.commits++
	s.newest = fmt.Sprint(s.commits)
	s.files[changed] = noise(s.random, bigFile)
	s.files[numberFile] = s.newest
	s.known.add(s.newest, s.files)
	changes := []gitserver.Change{gitserver.File(numberFile, s.newest), gitserver.File(changed, s.files[changed])}
	if s.hash == "" {
		changes = gitserver.Files(s.files)
	}
	hash, err := s.repo.Commit("main", "Change "+changed, changes...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.hash = hash
	s.known.name(s.newest, hash)
	s.Poke(s.source)
}

// isPublished reports whether the newest commit is advertised.
func (s *sourceStory) isPublished() bool {
	s.Get(s.source)
	a := s.source.Status.Artifact
	return a != nil && a.Revision == "main@sha1:"+s.hash
}

// waitPublished waits until the newest commit is advertised.
func (s *sourceStory) waitPublished() {
	s.t.Helper()
	s.Wait("the commit "+s.hash+" published", s.source, func() bool { return s.isPublished() })
}

// below returns the files in the storage that are selected.
func (s *sourceStory) below(selected func(path string) bool) []string {
	var found []string
	err := filepath.WalkDir(s.stack.Storage(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && selected(path) {
			found = append(found, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// isTemporary reports whether a file should not outlive what made it.
func isTemporary(path string) bool {
	name := filepath.Base(path)
	return isHalfWritten(path) || strings.HasPrefix(name, "tmp") || strings.HasSuffix(name, ".lock")
}

// isHalfWritten reports whether a file is to become an artifact.
func isHalfWritten(path string) bool { return strings.HasPrefix(filepath.Base(path), ".tmp-") }

func isArtifact(path string) bool { return strings.HasSuffix(path, ".tar.gz") }

func bigPath(i int) string { return fmt.Sprintf("big/%02d.bin", i) }

// noise returns what cannot be compressed.
func noise(random *rand.Rand, size int) string {
	b := make([]byte, 0, size)
	for len(b) < size {
		n := random.Uint64()
		for range 8 {
			b = append(b, byte(n))
			n >>= 8
		}
	}
	return string(b)
}

// freeAddress returns an address that nobody listens on. It is below the ports that
// outgoing connections take, so that it stays free between two processes.
func freeAddress(t *testing.T, random *rand.Rand) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+random.IntN(15000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}
