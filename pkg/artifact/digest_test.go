package artifact_test

import (
	"io"
	"strings"
	"testing"

	"weir.dev/pkg/artifact"
)

const (
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	commit      = "51fd7e680293226aa07c72018335283ad07907ee"
)

func TestParseDigest(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   string
		want artifact.Digest
		err  string // part of the message; empty means none
	}{
		"keeps the wire form":            {why: "status fields are compared as strings", in: "sha256:" + emptySHA256, want: "sha256:" + emptySHA256},
		"takes bare hex as sha256":       {why: "early producers wrote a checksum only", in: emptySHA256, want: "sha256:" + emptySHA256},
		"accepts sha512":                 {why: "the algorithm is a flag", in: "sha512:" + strings.Repeat("0a", 64), want: artifact.Digest("sha512:" + strings.Repeat("0a", 64))},
		"accepts sha384":                 {why: "the algorithm is a flag", in: "sha384:" + strings.Repeat("0a", 48), want: artifact.Digest("sha384:" + strings.Repeat("0a", 48))},
		"refuses an empty digest":        {why: "nothing could be verified", in: "", err: "empty"},
		"refuses a missing algorithm":    {why: "it is not clear what to compute", in: ":" + emptySHA256, err: "no algorithm"},
		"refuses a short sum":            {why: "a truncated digest verifies nothing", in: "sha256:abcd", err: "sha256:abcd"},
		"refuses upper case":             {why: "two spellings of one digest would differ as keys", in: "sha256:" + strings.ToUpper(emptySHA256), err: "sha256:"},
		"accepts blake3":                 {why: "the algorithm is a flag", in: "blake3:" + emptySHA256, want: "blake3:" + emptySHA256},
		"refuses a short blake3":         {why: "a truncated digest verifies nothing", in: "blake3:abcd", err: "blake3:abcd"},
		"names an algorithm it does not": {why: "the user must learn why it fails", in: "md5:" + emptySHA256, err: `"md5" is not supported: use sha256`},
		"refuses sha1":                   {why: "an artifact's digest must resist collisions", in: "sha1:" + commit, err: `"sha1" is not supported`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := artifact.ParseDigest(tc.in)
			if got != tc.want || !says(err, tc.err) {
				t.Errorf("ParseDigest(%q) = %q, %v; want %q, %q (%s)", tc.in, got, err, tc.want, tc.err, tc.why)
			}
		})
	}
}

func TestAlgorithmDigestsContent(t *testing.T) {
	for _, name := range []string{"", "sha256", "sha384", "sha512", "blake3"} {
		algorithm, err := artifact.ParseAlgorithm(name)
		if err != nil {
			t.Fatal(err)
		}
		h := algorithm.New()
		io.WriteString(h, "content")
		d := algorithm.Digest(h)
		if err := d.Validate(); err != nil {
			t.Error(err)
		}
		if d.Algorithm() != algorithm || d.String() != string(algorithm)+":"+d.Hex() {
			t.Errorf("parts of %q: %q and %q", d, d.Algorithm(), d.Hex())
		}
	}
	if got := artifact.SHA256.Digest(artifact.SHA256.New()); got != "sha256:"+emptySHA256 {
		t.Errorf("digest of nothing = %q", got)
	}
	// Of the test vectors that the authors of BLAKE3 publish.
	if got := artifact.BLAKE3.Digest(artifact.BLAKE3.New()); got != "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" {
		t.Errorf("blake3 digest of nothing = %q", got)
	}
}

// says reports whether an error is as a table row wants it: absent, or with a part in its message.
func says(err error, part string) bool {
	if part == "" || err == nil {
		return part == "" && err == nil
	}
	return strings.Contains(err.Error(), part)
}
