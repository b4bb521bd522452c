package pullrequest_test

import (
	"errors"
	"strings"
	"testing"

	"weir.dev/pkg/pullrequest"
)

func TestParseSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why       string
		kind, api string // "-" is no annotation
		secret    string
		want      string // kind, URL and secret
		says      string // the error
	}{
		"none":             {why: "most automations open none", kind: "-", api: "-", secret: "-", want: "  "},
		"a kind":           {why: "enough where the API is at the host of the remote", kind: "github", api: "-", secret: "-", want: "github  "},
		"all":              {why: "an API elsewhere", kind: "gitea", api: " https://Forge.example.com/git/api/v1/ ", secret: "forge-token", want: "gitea https://forge.example.com/git/api/v1 forge-token"},
		"another kind":     {why: "it has yet another API", kind: "bitbucket", api: "-", secret: "-", says: `is "bitbucket", which is none of github, gitlab and gitea`},
		"an empty kind":    {why: "who writes it means something", kind: "", api: "-", secret: "-", says: "none of"},
		"an API alone":     {why: "it would be ignored in silence", kind: "-", api: "https://example.com", secret: "-", says: "image.weir.dev/pull-request-api means nothing without image.weir.dev/pull-request"},
		"a Secret alone":   {why: "it would be ignored in silence", kind: "-", api: "-", secret: "x", says: "pull-request-secret means nothing"},
		"no Secret":        {why: "a name has letters", kind: "gitlab", api: "-", secret: "", says: "is no name of a Secret"},
		"a Secret of more": {why: "a namespace cannot be chosen", kind: "gitlab", api: "-", secret: "other/token", says: "in the namespace of the automation"},
		"no URL":           {why: "a host is not a URL", kind: "gitlab", api: "git.example.com", secret: "-", says: "is no http or https URL"},
		"a URL of SSH":     {why: "no API speaks it", kind: "gitlab", api: "ssh://git.example.com", secret: "-", says: "is no http or https URL"},
		"a password":       {why: "annotations are read by many", kind: "gitlab", api: "https://me:" + token + "@git.example.com", secret: "-", says: "belong in a Secret"},
		"half a password":  {why: "net/url would quote it", kind: "gitlab", api: "https://me:" + token + "%zz@git.example.com", secret: "-", says: "is no http or https URL"},
		"a query":          {why: "a base is continued with a path", kind: "gitlab", api: "https://git.example.com/?private_token=" + token, secret: "-", says: "has a query"},
		"a way out":        {why: "the path is what it looks like", kind: "gitlab", api: "https://git.example.com/a/../b", secret: "-", says: "leads elsewhere"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			annotations := map[string]string{"other": "x"}
			for key, value := range map[string]string{
				pullrequest.Annotation: tc.kind, pullrequest.APIAnnotation: tc.api, pullrequest.SecretAnnotation: tc.secret,
			} {
				if value != "-" {
					annotations[key] = value
				}
			}
			s, err := pullrequest.ParseSettings(annotations)
			if tc.says != "" {
				if !errors.Is(err, pullrequest.ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
					t.Fatalf("error %v, want one that says %q (%s)", err, tc.says, tc.why)
				}
				tells(t, err.Error())
				return
			}
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			got := string(s.Kind) + " "
			if s.API != nil {
				got += s.API.String()
			}
			if got += " " + s.Secret; got != tc.want || s.Wanted() != (s.Kind != "") {
				t.Errorf("settings %q, want %q (%s)", got, tc.want, tc.why)
			}
		})
	}
}
