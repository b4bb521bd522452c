package gitaccess

// Kind is what keeps a GitRepository from its remote.
type Kind int

const (
	// URL: no remote can be meant by spec.url.
	URL Kind = iota + 1
	// Authentication: credentials are missing, or not to be had.
	Authentication
	// Provider: spec.provider and the rest of the spec, or the Secret, do not go together.
	Provider
	// FeatureGate: what the spec asks for is switched off in the controller.
	FeatureGate
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case URL:
		return "URL"
	case Authentication:
		return "Authentication"
	case Provider:
		return "Provider"
	case FeatureGate:
		return "FeatureGate"
	default:
		return "Kind(unknown)"
	}
}

// Error is why there is no remote. It says nothing of credentials.
type Error struct {
	Kind Kind
	// Final says that only a change of the spec, or of the controller's flags, can help.
	Final bool
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

func failed(k Kind, err error) error { return &Error{Kind: k, Err: err} }

func final(k Kind, err error) error { return &Error{Kind: k, Final: true, Err: err} }
