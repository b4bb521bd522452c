package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// ErrNoMatch is wrapped when there is no version that was asked for.
var ErrNoMatch = errors.New("no matching chart version")

// Version says where a version of a chart can be downloaded.
type Version struct {
	Version string    `json:"version"`
	URLs    []string  `json:"urls"`
	Created time.Time `json:"created"`
}

// Find reads from an index that WriteJSON wrote the versions of a chart; none if it
// does not have the chart. No more than these and the entries of one other chart are
// in memory at a time.
func Find(r io.Reader, chart string) ([]Version, error) {
	var found []Version
	err := scan(r, func(name string) any {
		if name == chart {
			return &found
		}
		return new(skipped)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Table is where all versions of all charts of an index can be downloaded.
type Table map[string][]Version

// Load reads an index that WriteJSON wrote.
func Load(r io.Reader) (Table, error) {
	found := make(map[string]*[]Version)
	err := scan(r, func(name string) any {
		found[name] = new([]Version)
		return found[name]
	})
	if err != nil {
		return nil, err
	}
	t := make(Table, len(found))
	for name, versions := range found {
		t[name] = *versions
	}
	return t, nil
}

// skipped is JSON that nobody wants.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// scan decodes the versions of each chart into what target returns for its name.
func scan(r io.Reader, target func(name string) any) error {
	d := json.NewDecoder(r)
	err := members(d, func(key string) error {
		if key != "entries" {
			return d.Decode(new(skipped))
		}
		return members(d, func(name string) error { return d.Decode(target(name)) })
	})
	if err != nil {
		return fmt.Errorf("reading a stored index: %w", err)
	}
	return nil
}

// Select returns which of the versions of a chart is meant by want, an exact version
// or a range; empty or "*" means the newest that is stable. What equals want to the
// letter is taken, whatever it is. Otherwise the newest version in the range is, and of
// several that differ in build metadata only, the one that was made last. Versions with
// a prerelease are in ranges only that name one.
func Select(versions []Version, chart, want string) (Version, error) {
	for _, v := range versions {
		if want != "" && v.Version == want {
			return v, nil
		}
	}
	constraint := want
	if constraint == "" {
		constraint = "*"
	}
	wanted, err := semver.NewConstraint(constraint)
	if err != nil {
		return Version{}, fmt.Errorf("version %q is no version and no range: %w", want, err)
	}
	var best Version
	var newest *semver.Version
	for _, v := range versions {
		parsed, err := parseVersion(v.Version)
		if err != nil || !wanted.Check(parsed) {
			continue
		}
		if newest == nil || parsed.GreaterThan(newest) || parsed.Equal(newest) && v.Created.After(best.Created) {
			best, newest = v, parsed
		}
	}
	if newest == nil {
		return Version{}, &noMatch{chart: chart, want: want}
	}
	return best, nil
}

// parseVersion reads a version that has all three numbers, after a v or not.
func parseVersion(s string) (*semver.Version, error) {
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(s, "v")); err != nil {
		return nil, err
	}
	return semver.NewVersion(s)
}

// noMatch says what was looked for in vain.
type noMatch struct{ chart, want string }

func (e *noMatch) Error() string {
	return fmt.Sprintf("no '%s' chart with version matching '%s' found", e.chart, e.want)
}

func (e *noMatch) Is(target error) bool { return target == ErrNoMatch }
