//go:build unix

package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	kills       = 20
	killedFiles = 3 // artifacts that the writer overwrites in turn
)

// TestKillLeavesNoWrongBytes kills a process that stores artifacts without a pause, again and
// again. Whatever has an artifact's name must be whole at all times, whatever Put has returned for
// must be there, and opening the store must remove the rest.
func TestKillLeavesNoWrongBytes(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	var last [killedFiles]int // newest round seen of each artifact
	read, left := 0, 0
	for range kills {
		child, rounds := startWriter(t, dir, last)
		for deadline := time.Now().Add(time.Minute); rounds[0].Load() == 0; {
			if time.Now().After(deadline) {
				t.Fatal("the writer has stored nothing")
			}
			read += checkVisible(t, dir, &last)
		}
		for until := time.Now().Add(time.Duration(random.IntN(25_000)) * time.Microsecond); time.Now().Before(until); {
			read += checkVisible(t, dir, &last)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait() // reports the kill, and ends the reading of rounds

		read += checkVisible(t, dir, &last)
		for i := range rounds {
			if stored := int(rounds[i].Load()); last[i] < stored {
				t.Errorf("artifact %d is of round %d, but round %d was stored", i, last[i], stored)
			}
		}
		left += countTemps(t, dir)
		open(t, Options{Dir: dir})
		if n := countTemps(t, dir); n > 0 {
			t.Errorf("%d temporary files are left in a store that was opened", n)
		}
	}
	t.Logf("read %d artifacts between %d kills; %d temporary files were left behind and swept", read, kills, left)
	if left == 0 {
		t.Error("no kill hit a Put; the test shows nothing")
	}
}

// TestWriterToKill is the process that the test above kills.
func TestWriterToKill(t *testing.T) {
	if flag.NArg() != 1+killedFiles {
		t.Skip("runs only as a child of another test")
	}
	s := open(t, Options{Dir: flag.Arg(0)})
	var round [killedFiles]int
	for i := range round {
		if _, err := fmt.Sscan(flag.Arg(1+i), &round[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; ; i = (i + 1) % killedFiles {
		round[i]++
		_, err := s.Put(at(t, fmt.Sprintf("%d.tar.gz", i)), func(w io.Writer) error {
			return text(artifactOfRound(round[i]))(w) // made here, so that most kills hit a Put
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(os.Stdout, "stored %d %d\n", i, round[i])
	}
}

// startWriter starts the writer, and returns with it the rounds that it has stored.
func startWriter(t *testing.T, dir string, last [killedFiles]int) (*exec.Cmd, *[killedFiles]atomic.Int64) {
	t.Helper()
	args := []string{"-test.run=^TestWriterToKill$", "--", dir}
	for _, n := range last {
		args = append(args, fmt.Sprint(n))
	}
	child := exec.CommandContext(t.Context(), os.Args[0], args...)
	rounds := new([killedFiles]atomic.Int64)
	child.Stdout = &lines{line: func(line string) {
		var i, round int
		if n, _ := fmt.Sscanf(line, "stored %d %d", &i, &round); n == 2 {
			rounds[i].Store(int64(round))
		}
	}}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, rounds
}

// lines calls a function for every complete line that is written.
type lines struct {
	line func(string)
	rest bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest.Write(p)
	for bytes.IndexByte(l.rest.Bytes(), '\n') >= 0 {
		line, _ := l.rest.ReadString('\n')
		l.line(line)
	}
	return len(p), nil
}

// artifactOfRound returns content that says what it has to be: its round and digest come first.
func artifactOfRound(round int) string {
	random := rand.New(rand.NewPCG(uint64(round), 0))
	body := make([]byte, random.IntN(300_000))
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	return fmt.Sprintf("%d %x\n%s", round, sha256.Sum256(body), body)
}

// checkVisible checks everything that has an artifact's name, and that none goes back to an
// earlier round. It returns how many it read.
func checkVisible(t *testing.T, dir string, last *[killedFiles]int) int {
	t.Helper()
	n := 0
	for i := range last {
		content, err := os.ReadFile(path.Join(dir, at(t, fmt.Sprintf("%d.tar.gz", i)).String()))
		if os.IsNotExist(err) && last[i] == 0 {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		var round int
		var sum []byte
		r := bufio.NewReader(bytes.NewReader(content))
		if _, err := fmt.Fscanf(r, "%d %x\n", &round, &sum); err != nil {
			t.Errorf("artifact %d does not start as it should: %v", i, err)
			continue
		}
		h := sha256.New()
		io.Copy(h, r)
		if !bytes.Equal(h.Sum(nil), sum) {
			t.Errorf("artifact %d of round %d has %d wrong bytes", i, round, len(content))
		}
		if round < last[i] {
			t.Errorf("artifact %d went back from round %d to %d", i, last[i], round)
		}
		last[i] = round
		n++
	}
	return n
}

func countTemps(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := fs.WalkDir(os.DirFS(dir), ".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), tempPrefix) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
