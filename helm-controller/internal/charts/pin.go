package charts

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
)

// pinned is how many digits of a digest become part of a version.
const pinned = 12

// ErrVersion is wrapped when a chart has another version than its tag says.
var ErrVersion = errors.New("chart has another version than its tag")

// Pin checks the version of a chart that was published under a tag of an OCI repository. A
// tag that is no version says nothing about it, and "" is no tag. If track, it adds the
// digest of the artifact to the version, so that another chart under the same tag is a
// change. c is changed, so it must be a copy; see Chart.Helm.
func Pin(c *chart.Chart, tag, digest string, track bool) error {
	version, err := semver.NewVersion(c.Metadata.Version)
	if err != nil {
		return fmt.Errorf("%w: version %q of Chart.yaml: %w", ErrInvalid, c.Metadata.Version, err)
	}
	if tagged, err := semver.NewVersion(tag); err == nil && !tagged.Equal(version) {
		return fmt.Errorf("%w: artifact revision %s does not match chart version %s", ErrVersion, tag, c.Metadata.Version)
	}
	if !track {
		return nil
	}
	_, hex, ok := strings.Cut(digest, ":")
	if !ok || len(hex) < pinned {
		return fmt.Errorf("digest %q of the chart is none", digest)
	}
	withDigest, err := version.SetMetadata(hex[:pinned])
	if err != nil {
		return fmt.Errorf("digest %q of the chart is none: %w", digest, err)
	}
	c.Metadata.Version = withDigest.String()
	return nil
}
