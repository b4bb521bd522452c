package cloud

import (
	"time"

	"github.com/fluxcd/pkg/auth/aws"
	"github.com/fluxcd/pkg/auth/azure"
	"github.com/fluxcd/pkg/auth/gcp"
)

// Fakes replace the libraries of the clouds.
type Fakes struct {
	AWS   aws.Implementation
	Azure azure.Implementation
	GCP   gcp.Implementation
	Now   func() time.Time
}

// Fake makes i ask the fakes.
func (i *Identities) Fake(f Fakes) {
	i.aws.Implementation, i.azure.Implementation, i.gcp.Implementation = f.AWS, f.Azure, f.GCP
	if f.Now != nil {
		i.tokens.now = f.Now
	}
}

// Stable is what is made of an error of a cloud.
var Stable = stable
