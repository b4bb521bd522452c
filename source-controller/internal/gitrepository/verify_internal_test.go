package gitrepository

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
)

func TestVerified(t *testing.T) {
	t.Parallel()
	head, tag, both := sourcev1.GitVerificationHEAD, sourcev1.GitVerificationTag, sourcev1.GitVerificationTagAndHEAD
	tests := map[string]struct {
		asks   sourcev1.GitVerificationMode // "" for nothing
		had    sourcev1.GitVerificationMode // "" for nothing
		failed bool
		want   bool
	}{
		"nothing":                      {want: true},
		"nothing any more":             {had: head, want: true},
		"something for the first time": {asks: head},
		"the same":                     {asks: head, had: head, want: true},
		"in the old spelling":          {asks: sourcev1.GitVerificationLegacyHEAD, had: head, want: true},
		"less":                         {asks: tag, had: both, want: true},
		"less, the commit":             {asks: head, had: both, want: true},
		"more":                         {asks: both, had: head},
		"more than the tag":            {asks: both, had: tag},
		"something else":               {asks: tag, had: head},
		"the same after a failure":     {asks: head, had: head, failed: true},
	}
	for name, tc := range tests {
		var repo sourcev1.GitRepository
		if tc.asks != "" {
			repo.Spec.Verification = &sourcev1.GitRepositoryVerification{Mode: tc.asks}
		}
		if tc.had != "" {
			repo.Status.SourceVerificationMode = &tc.had
			verdict := metav1.ConditionTrue
			if tc.failed {
				verdict = metav1.ConditionFalse
			}
			repo.Status.Conditions = []metav1.Condition{{Type: sourcev1.ConditionSourceVerified, Status: verdict}}
		}
		if got := verified(&repo); got != tc.want {
			t.Errorf("%s: verified is %t; want %t", name, got, tc.want)
		}
	}
}

func TestFollowsTag(t *testing.T) {
	t.Parallel()
	const commit = "1111111111111111111111111111111111111111"
	tests := map[string]struct {
		ref  *sourcev1.GitRepositoryRef
		want bool
	}{
		"nothing":                 {},
		"a branch":                {ref: &sourcev1.GitRepositoryRef{Branch: "main"}},
		"a tag":                   {ref: &sourcev1.GitRepositoryRef{Tag: "v1"}, want: true},
		"a range":                 {ref: &sourcev1.GitRepositoryRef{SemVer: "1.x", Branch: "main"}, want: true},
		"the name of a tag":       {ref: &sourcev1.GitRepositoryRef{Name: "refs/tags/v1"}, want: true},
		"the name of a branch":    {ref: &sourcev1.GitRepositoryRef{Name: "refs/heads/main", Tag: "v1"}},
		"a commit beside a tag":   {ref: &sourcev1.GitRepositoryRef{Commit: commit, Tag: "v1"}},
		"a name over another tag": {ref: &sourcev1.GitRepositoryRef{Name: "refs/pull/1/head", SemVer: "1.x"}},
	}
	for name, tc := range tests {
		if got := followsTag(tc.ref); got != tc.want {
			t.Errorf("%s: it follows a tag: %t; want %t", name, got, tc.want)
		}
	}
}
