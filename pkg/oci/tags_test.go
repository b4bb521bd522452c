package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/oci"
	"weir.dev/pkg/oci/ocitest"
)

func TestLatest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why          string
		tags         []string
		rang, filter string
		chart        bool
		want         string
		err          error
	}{
		"highest":                      {tags: []string{"1.9.0", "1.10.0", "1.2.0"}, rang: "1.x", want: "1.10.0"},
		"with a v":                     {tags: []string{"v1.0.0", "v1.1.0"}, rang: ">=1.0.0", want: "v1.1.0"},
		"moving tags":                  {why: "they are no versions", tags: []string{"latest", "1", "1.2", "v9", "1.0.0"}, rang: "*", want: "1.0.0"},
		"prereleases":                  {why: "a range asks for them or does not", tags: []string{"1.0.0", "1.1.0-rc.1"}, rang: ">=1.0.0", want: "1.0.0"},
		"prereleases asked for":        {tags: []string{"1.0.0", "1.1.0-rc.1"}, rang: ">=1.0.0-0", want: "1.1.0-rc.1"},
		"filter":                       {why: "it comes before the range", tags: []string{"1.0.0-alpine", "1.1.0-debian", "2.0.0-alpine"}, rang: "<2.0.0-0", filter: "-alpine$", want: "1.0.0-alpine"},
		"none":                         {tags: []string{"1.0.0"}, rang: ">2", err: oci.ErrNoMatch},
		"no tags":                      {rang: "*", err: oci.ErrNoMatch},
		"bad range":                    {tags: []string{"1.0.0"}, rang: "not a range", err: oci.ErrInvalidReference},
		"bad filter":                   {tags: []string{"1.0.0"}, rang: "*", filter: "(", err: oci.ErrInvalidReference},
		"equal precedence":             {why: "the choice must not depend on the order of the list", tags: []string{"1.0.0", "v1.0.0"}, rang: "*", want: "v1.0.0"},
		"underscore":                   {why: "a tag cannot have a plus", tags: []string{"1.0.0_build.1"}, rang: "*", err: oci.ErrNoMatch},
		"underscore of a chart":        {tags: []string{"1.0.0_build.1", "0.9.0"}, rang: "*", chart: true, want: "1.0.0_build.1"},
		"what the registry calls tags": {why: "only what can be asked for", tags: []string{"1.0.0+x/../y", "0.1.0"}, rang: "*", want: "0.1.0"},
	}
	for name, tc := range tests {
		choose := oci.Latest
		if tc.chart {
			choose = oci.LatestChart
		}
		got, err := choose(tc.tags, tc.rang, tc.filter)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %q, %v; want %q, %v (%s)", name, got, err, tc.want, tc.err, tc.why)
		}
	}
	_, err := oci.Latest(nil, "3.x", "")
	if want := "no match found for semver: 3.x"; err == nil || err.Error() != want {
		t.Errorf("the error is %v; want %q", err, want)
	}
}

// pages serves a list of tags in pages that never end, if end is negative.
func pages(end int, link string) ocitest.Fault {
	n := 0
	return ocitest.Only(ocitest.Tags, func(w http.ResponseWriter, _ *http.Request) bool {
		if n++; n != end {
			w.Header().Set("Link", link)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"tags": []string{fmt.Sprintf("1.0.%d", n), "latest"}})
		return true
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	r := ocitest.Start(t, ocitest.Options{})
	for _, tag := range []string{"1.0.0", "1.1.0", "latest"} {
		r.Push("app", tag, ocitest.Files(nil))
	}
	s := open(t, oci.NewClient(oci.Limits{Tags: 50, TagPages: 10}), r, "app", oci.Access{})
	got, err := s.Tags(t.Context())
	if diff := cmp.Diff([]string{"1.0.0", "1.1.0", "latest"}, got); diff != "" || err != nil {
		t.Errorf("Tags: %v (-want +got):\n%s", err, diff)
	}
	r.Break(ocitest.Garbage(`{"tags":["1.0.0","a/b","","a\\nb","` + strings.Repeat("x", 129) + `","1.1.0"]}`))
	got, err = s.Tags(t.Context())
	if diff := cmp.Diff([]string{"1.0.0", "1.1.0"}, got); diff != "" || err != nil {
		t.Errorf("Tags, of what are not all tags: %v (-want +got):\n%s", err, diff)
	}
	const next = `</v2/app/tags/list?last=x>; rel="next"`
	r.Break(pages(5, next))
	if got, err = s.Tags(t.Context()); len(got) != 10 || err != nil {
		t.Errorf("five pages: %v, %v; want 10 tags", got, err)
	}
	before := r.Counts()
	tests := map[string]struct {
		fault ocitest.Fault
		err   error
	}{
		"pages without end": {fault: pages(-1, next), err: oci.ErrTooLarge},
		"another host":      {fault: pages(-1, `<http://registry.example.com/v2/app/tags/list>; rel="next"`), err: oci.ErrUntrusted},
		"no URL":            {fault: pages(-1, `<http://%zz>`), err: oci.ErrCorrupt},
		"garbage":           {fault: ocitest.Garbage("<html>"), err: oci.ErrCorrupt},
		"too many":          {fault: ocitest.Garbage(`{"tags":["` + tags(51) + `"]}`), err: oci.ErrTooLarge},
		"no such":           {fault: ocitest.Status(http.StatusNotFound), err: oci.ErrNotFound},
	}
	for name, tc := range tests {
		r.Break(tc.fault)
		if got, err := s.Tags(t.Context()); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tc.err)
		}
	}
	if n := r.Counts().Minus(before).Tags; n != 10+5 {
		t.Errorf("the failing lists took %d requests; want 10 for the one without end, and one each", n)
	}
}

func tags(n int) string {
	text := "0"
	for i := 1; i < n; i++ {
		text += fmt.Sprintf(`","%d`, i)
	}
	return text
}
