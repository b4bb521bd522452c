package signature_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/git/signature"
)

func TestCommit(t *testing.T) {
	t.Parallel()
	const armored = "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"
	tests := map[string]struct {
		why             string
		in              string
		payload, signed string
		err             error
	}{
		"leaves a commit without a signature as it is": {
			why: "there is nothing to take out", in: commitHeader + commitMessage, payload: commitHeader + commitMessage,
		},
		"takes the signature out of the header": {
			why: "it cannot be about itself", in: string(commitWith(armored)), payload: commitHeader + commitMessage, signed: armored,
		},
		"takes nothing out of the message": {
			why: "a message may say anything", in: commitHeader + "\ngpgsig no\n more\n", payload: commitHeader + "\ngpgsig no\n more\n",
		},
		"keeps headers behind the signature": {
			why: "git writes encoding there", in: commitHeader + "gpgsig a\n b\nencoding latin1\n\nm\n",
			payload: commitHeader + "encoding latin1\n\nm\n", signed: "a\nb\n",
		},
		"keeps other headers of many lines": {
			why: "a merged tag is signed with the commit", in: commitHeader + "mergetag object 1\n type commit\ngpgsig a\n\nm\n",
			payload: commitHeader + "mergetag object 1\n type commit\n\nm\n", signed: "a\n",
		},
		"reads a commit without a message": {
			why: "git makes such, too", in: commitHeader + "gpgsig a\n", payload: commitHeader, signed: "a\n",
		},
		"refuses a second signature": {
			why: "one of them would be of something else", in: commitHeader + "gpgsig a\ngpgsig b\n\nm\n", err: signature.ErrMalformed,
		},
		"refuses a header that Git leaves out of what is signed": {
			why: "its lines would be under no signature, and other readers take them for headers",
			in:  commitHeader + "gpgsig-sha256 a\n tree 1111111111111111111111111111111111111111\n\nm\n", err: signature.ErrMalformed,
		},
		"refuses a signature that is too long": {
			why: "nobody signs so much", in: string(commitWith(strings.Repeat("x", 65<<10))), err: signature.ErrMalformed,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := signature.Commit([]byte(tc.in))
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v; want %v (%s)", err, tc.err, tc.why)
			}
			if err == nil {
				compare(t, s, tc.payload, tc.signed, tc.why)
			}
		})
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	const armored = "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n"
	tests := map[string]struct {
		why             string
		in              string
		payload, signed string
		err             error
	}{
		"leaves a tag without a signature as it is": {why: "there is nothing to take out", in: tagPayload, payload: tagPayload},
		"takes the end of the message":              {why: "that is where git puts it", in: tagPayload + armored, payload: tagPayload, signed: armored},
		"takes the last of several": {
			why: "the message may quote one", in: tagPayload + armored + "and so on\n" + armored, payload: tagPayload + armored + "and so on\n", signed: armored,
		},
		"takes nothing in the middle of a line": {
			why: "git does not", in: tagPayload + "see -----BEGIN SSH SIGNATURE-----\n", payload: tagPayload + "see -----BEGIN SSH SIGNATURE-----\n",
		},
		"refuses a signature in the header": {
			why: "git leaves it out of what is signed", in: "gpgsig a\n" + tagPayload, err: signature.ErrMalformed,
		},
		"refuses a signature that is too long": {
			why: "nobody signs so much", in: tagPayload + armored + strings.Repeat("x", 65<<10), err: signature.ErrMalformed,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := signature.Tag([]byte(tc.in))
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v; want %v (%s)", err, tc.err, tc.why)
			}
			if err == nil {
				compare(t, s, tc.payload, tc.signed, tc.why)
			}
		})
	}
}

func compare(t *testing.T, s signature.Signed, payload, signed, why string) {
	t.Helper()
	if diff := cmp.Diff(payload, string(s.Payload)); diff != "" {
		t.Errorf("payload, -want +got (%s):\n%s", why, diff)
	}
	if diff := cmp.Diff(signed, string(s.Signature)); diff != "" {
		t.Errorf("signature, -want +got (%s):\n%s", why, diff)
	}
}
