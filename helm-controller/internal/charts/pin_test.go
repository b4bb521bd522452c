package charts_test

import (
	"errors"
	"testing"

	"helm.sh/helm/v3/pkg/chart"

	"weir.dev/helm-controller/internal/charts"
)

func TestPin(t *testing.T) {
	t.Parallel()
	const digest = "sha256:abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
	tests := map[string]struct {
		why                  string
		version, tag, digest string
		untracked            bool
		want                 string
		is                   error
		fails                bool
	}{
		"same version":             {why: "it is what helm push makes", version: "1.2.3", tag: "1.2.3", digest: digest, want: "1.2.3+abcdef012345"},
		"tag with v":               {why: "it is the same version", version: "1.2.3", tag: "v1.2.3", digest: digest, want: "1.2.3+abcdef012345"},
		"version with v":           {why: "Flux writes it like this", version: "v1.2.3", tag: "1.2.3", digest: digest, want: "1.2.3+abcdef012345"},
		"other version":            {why: "one of them is wrong", version: "1.2.3", tag: "1.2.4", digest: digest, is: charts.ErrVersion},
		"pre-release of it":        {why: "it comes before", version: "1.2.3", tag: "1.2.3-rc.1", digest: digest, is: charts.ErrVersion},
		"moving tag":               {why: "it says nothing about the version", version: "1.2.3", tag: "latest", digest: digest, want: "1.2.3+abcdef012345"},
		"no tag":                   {why: "an artifact may be referred to by its digest", version: "1.2.3", digest: digest, want: "1.2.3+abcdef012345"},
		"metadata of its own":      {why: "a version has one metadata", version: "1.2.3+build", tag: "1.2.3", digest: digest, want: "1.2.3+abcdef012345"},
		"metadata as a tag has":    {why: "no tag can have a plus", version: "1.2.3+build", tag: "1.2.3_build", digest: digest, want: "1.2.3+abcdef012345"},
		"pre-release":              {why: "the digest comes last", version: "1.2.3-rc.1", tag: "1.2.3-rc.1", digest: digest, want: "1.2.3-rc.1+abcdef012345"},
		"not tracked":              {why: "labels of some charts cannot have a plus", version: "1.2.3", tag: "1.2.3", digest: digest, untracked: true, want: "1.2.3"},
		"not tracked, other":       {why: "one of them is wrong", version: "1.2.3", tag: "2.0.0", digest: digest, untracked: true, is: charts.ErrVersion},
		"no digest":                {why: "a version without it would look like another chart", version: "1.2.3", tag: "1.2.3", digest: "", fails: true},
		"short digest":             {why: "a version without it would look like another chart", version: "1.2.3", tag: "1.2.3", digest: "sha256:ab", fails: true},
		"digest that is no digits": {why: "it would be no version", version: "1.2.3", tag: "1.2.3", digest: "sha256:_____________", fails: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &chart.Chart{Metadata: &chart.Metadata{Name: "demo", Version: tc.version}}
			err := charts.Pin(c, tc.tag, tc.digest, !tc.untracked)
			if tc.fails || tc.is != nil {
				if err == nil || tc.is != nil && !errors.Is(err, tc.is) || c.Metadata.Version != tc.version {
					t.Errorf("Pin() = %v, version %s; want %v, version %s (%s)", err, c.Metadata.Version, tc.is, tc.version, tc.why)
				}
				return
			}
			if err != nil || c.Metadata.Version != tc.want {
				t.Errorf("Pin() = %v, version %s; want %s (%s)", err, c.Metadata.Version, tc.want, tc.why)
			}
		})
	}
}
