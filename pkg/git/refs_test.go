package git_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

// advertised returns what the remote answers when it is asked for its refs.
func advertised(t testing.TB, f *follower) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, f.remote.String()+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return body
}

func TestLimits(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		s, r, f := serve(t, opts)
		rev := r.Commit("main", "one", gitserver.File("a", noise(1, 3000)))
		for i := range 20 {
			r.SetRef(fmt.Sprint("refs/pull/", i, "/head"), rev)
		}
		refs := int64(len(advertised(t, f)))
		s.Counter.Reset()
		follow(t, f.remote).fetch(branch("main"))
		pack := s.Counter.Counts().Bytes - refs
		// How git cuts a pack into packets is not the same every time.
		margin := int64(0)
		if opts.Backend == gitserver.GitCommand {
			margin = pack / 4
		}
		tests := map[string]struct {
			limits git.Limits
			says   string // of ErrTooLarge; "" means that there is none
		}{
			"none":          {},
			"just the refs": {limits: git.Limits{Refs: refs}},
			"just the pack": {limits: git.Limits{Pack: pack + margin}},
			"refs":          {limits: git.Limits{Refs: refs - 1}, says: "refs"},
			"few refs":      {limits: git.Limits{Refs: 10}, says: "refs"},
			"pack":          {limits: git.Limits{Pack: pack - margin - 1}, says: "pack"},
			"small pack":    {limits: git.Limits{Pack: 5}, says: "pack"},
		}
		for name, tc := range tests {
			f := follow(t, f.remote)
			f.client = git.NewClient(tc.limits)
			_, err := f.try(branch("main"))
			if tc.says == "" {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			silent(t, err, git.ErrTooLarge, tc.says, "more than")
			if left := f.onDisk(temporary); len(left) > 0 {
				t.Errorf("%s: left on disk: %v", name, left)
			}
			f.client = git.NewClient(git.Limits{})
			f.fetch(branch("main"))
		}
	})
}

func FuzzReadRefs(f *testing.F) {
	for _, opts := range []gitserver.Options{{Backend: gitserver.Auto}, {Backend: gitserver.GoGit}} {
		_, r, who := serve(f, opts)
		f.Add(advertised(f, who)) // of an empty repository
		rev := r.Commit("main", "one", gitserver.File("a", "1"))
		r.TagAnnotated("v1.0.0", rev, "one")
		r.Tag("v1.0.1", rev)
		f.Add(advertised(f, who))
	}
	const rev = "1111111111111111111111111111111111111111"
	for _, text := range []string{
		"", "0000", "00000000", "0004", "0005x", "ffff", "zzzz", "0010ERR go away\n",
		"001e# service=git-upload-pack\n0000", "003d" + rev + " refs/heads/main\x00",
		"0041" + rev + " refs/heads/main\x00ofs\n0000",
		"0041" + rev + " refs/heads/main\x00ofs\n003d" + rev + " refs/tags/v1^{}\n0000",
		"0041" + rev + " refs/heads/main\x00ofs\n0035shallow " + rev + "\n0000",
		"0041" + strings.Repeat("0", 40) + " capabilities^{}\x00\n0000",
		"0041" + rev + " refs/heads/main\x00ofs\n0016x refs/heads/other\n0000",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, err := git.ReadRefs(bytes.NewReader(data), 1<<16)
		if err != nil {
			if !errors.Is(err, git.ErrEmpty) && !errors.Is(err, git.ErrTooLarge) && !errors.Is(err, git.ErrProtocol) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		for _, ref := range []git.Reference{{}, {Branch: "main"}, {Tag: "v1"}, {SemVer: "*"}, {Name: "refs/heads/main"}, {Commit: rev}} {
			targets, err := ref.Resolve(refs)
			if err == nil && len(targets) == 0 {
				t.Errorf("%+v: neither a target nor an error", ref)
			}
			for _, target := range targets {
				if target.Want.IsZero() || target.Commit.IsZero() {
					t.Errorf("%+v: the zero commit", ref)
				}
			}
		}
	})
}

// TestReadRefs reads what is no advertisement of refs.
func TestReadRefs(t *testing.T) {
	t.Parallel()
	const rev = "1111111111111111111111111111111111111111"
	tests := map[string]struct {
		why, in string
		is      error
	}{
		"nothing":       {in: "", is: git.ErrProtocol},
		"no refs":       {in: "0000", is: git.ErrEmpty},
		"capabilities":  {in: "0041" + strings.Repeat("0", 40) + " capabilities^{}\x00ofs\n0000", is: git.ErrEmpty},
		"HEAD alone":    {why: "it says of no branch where it is", in: "0036" + rev + " HEAD\x00ofs\n0000", is: git.ErrEmpty},
		"cut":           {in: "0041" + rev + " refs/heads/main", is: git.ErrProtocol},
		"no end":        {in: "0041" + rev + " refs/heads/main\x00ofs\n", is: git.ErrProtocol},
		"no hash":       {why: "it would be the zero commit", in: "0041" + rev + " refs/heads/main\x00ofs\n0017x refs/heads/other\n0000", is: git.ErrProtocol},
		"refs":          {in: "0041" + rev + " refs/heads/main\x00ofs\n0000"},
		"more than all": {in: strings.Repeat("x", 1<<17), is: git.ErrProtocol},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := git.ReadRefs(strings.NewReader(tc.in), 1<<16); !errors.Is(err, tc.is) {
				t.Errorf("%v, want %v (%s)", err, tc.is, tc.why)
			}
		})
	}
	endless := io.MultiReader(strings.NewReader("0041"+rev+" refs/heads/main\x00ofs\n"), repeat("003e"+rev+" refs/heads/other\n"))
	if _, err := git.ReadRefs(endless, 1<<16); !errors.Is(err, git.ErrTooLarge) {
		t.Errorf("refs without end: %v, want ErrTooLarge", err)
	}
}

// repeat reads the same text again and again.
func repeat(text string) io.Reader { return &repeated{text: text} }

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}
