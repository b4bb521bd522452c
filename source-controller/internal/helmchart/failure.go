package helmchart

import (
	"errors"
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
	"weir.dev/source-controller/internal/helm/remote"
)

// summaries say in which part of the work something went wrong.
var summaries = map[string]string{
	sourcev1.ReasonInvalidChartReference:  "invalid chart reference",
	sourcev1.ReasonChartPullError:         "chart pull error",
	sourcev1.ReasonMetadataPatchError:     "chart metadata patch error",
	sourcev1.ReasonValuesFilesError:       "values files merge error",
	sourcev1.ReasonDependencyBuildError:   "dependency build error",
	sourcev1.ReasonChartPackageError:      "chart package error",
	sourcev1.ReasonChartVerificationError: "chart verification error",
}

// failed says that a part of the work failed. Where only another spec, or another
// revision of the source, can help, the run is not repeated.
func failed(reason string, err error) error {
	// What a chart depends on comes from other repositories than its own.
	if reason != sourcev1.ReasonDependencyBuildError && unauthorized(err) {
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, fmt.Errorf("failed to authenticate with the Helm repository: %w", err))
	}
	err = fmt.Errorf("%s: %w", summaries[reason], err)
	switch reason {
	case sourcev1.ReasonInvalidChartReference, sourcev1.ReasonMetadataPatchError, sourcev1.ReasonValuesFilesError:
		return loop.Stall(reason, err)
	default:
		return loop.Fail(reason, err)
	}
}

// unauthorized reports whether a repository refuses access, or is not trusted.
func unauthorized(err error) bool {
	for _, known := range []error{remote.ErrUnauthorized, remote.ErrUntrusted, oci.ErrUnauthorized, oci.ErrUntrusted, errCredentials} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// errCredentials is wrapped when the credentials of a repository cannot be read.
var errCredentials = errors.New("no usable credentials")
