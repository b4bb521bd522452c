package index_test

import (
	"errors"
	"testing"
	"time"

	"weir.dev/source-controller/internal/helm/index"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	all := []index.Version{
		{Version: "0.9.0"}, {Version: "1.0.0", Created: day(1)}, {Version: "1.10.0"}, {Version: "1.2.0"},
		{Version: "1.3.0+a", Created: day(3)}, {Version: "1.3.0+b", Created: day(5)}, {Version: "1.3.0+c", Created: day(4)},
		{Version: "2.0.0-rc.1"}, {Version: "2.0.0-rc.10"}, {Version: "v1.4.0"}, {Version: "latest"}, {Version: "7"}, {Version: "7.1"},
	}
	tests := map[string]struct {
		why   string
		want  string
		pick  string
		error error
	}{
		"nothing":                   {why: "the newest stable one", want: "", pick: "1.10.0"},
		"anything":                  {why: "a prerelease has to be asked for", want: "*", pick: "1.10.0"},
		"an exact version":          {why: "it is there", want: "1.2.0", pick: "1.2.0"},
		"an exact prerelease":       {why: "it is there", want: "2.0.0-rc.1", pick: "2.0.0-rc.1"},
		"what is no version":        {why: "an equal text is taken, whatever it is", want: "latest", pick: "latest"},
		"a version of one number":   {why: "an equal text is taken", want: "7", pick: "7"},
		"exact build metadata":      {why: "an equal text comes before newer ones", want: "1.3.0+a", pick: "1.3.0+a"},
		"a version of any metadata": {why: "metadata does not order: the one made last is taken", want: "1.3.0", pick: "1.3.0+b"},
		"a range":                   {why: "the newest is taken, by number", want: "1.x", pick: "1.10.0"},
		"a range below":             {why: "the newest in the range", want: "<1.3.0", pick: "1.2.0"},
		"a range with a prerelease": {why: "a range that names one has them, ordered by number", want: ">=1.0.0-0", pick: "2.0.0-rc.10"},
		"a version after a v":       {why: "the v does not count", want: "1.4.0", pick: "v1.4.0"},
		"a range without a match":   {why: "the chart waits for it", want: "3.x", error: index.ErrNoMatch},
		"a range of short versions": {why: "what lacks a number is no version for a range", want: "7.x", error: index.ErrNoMatch},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := index.Select(all, "demo", tc.want)
			if !errors.Is(err, tc.error) || got.Version != tc.pick {
				t.Errorf("%q is %q, %v; want %q, %v (%s)", tc.want, got.Version, err, tc.pick, tc.error, tc.why)
			}
		})
	}
	t.Run("the message", func(t *testing.T) {
		t.Parallel()
		_, err := index.Select(all, "demo", "3.x")
		if want := "no 'demo' chart with version matching '3.x' found"; err == nil || err.Error() != want {
			t.Errorf("error %v; want %q", err, want)
		}
		if _, err := index.Select(all, "demo", "no range"); err == nil || errors.Is(err, index.ErrNoMatch) {
			t.Errorf("error %v; want that of a range", err)
		}
	})
}
