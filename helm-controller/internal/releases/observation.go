package releases

import (
	_ "crypto/sha256" // go-digest finds its hash functions by registration
	_ "crypto/sha512"
	"encoding/json"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
)

// observation is what of a release its digest is of, as Helm 4 writes the parts of it.
// Every byte of its JSON counts: the digests are in the status of existing HelmReleases.
type observation struct {
	Name          string         `json:"name"`
	Version       int            `json:"version"`
	Info          info           `json:"info"`
	ChartMetadata chart.Metadata `json:"chartMetadata"`
	Config        map[string]any `json:"config"`
	Manifest      string         `json:"manifest"`
	Hooks         []hook         `json:"hooks"`
	Namespace     string         `json:"namespace"`
	OCIDigest     string         `json:"ociDigest,omitempty"`
}

// info is release.Info with times as Helm 4 has them.
type info struct {
	FirstDeployed time.Time      `json:"first_deployed,omitzero"`
	LastDeployed  time.Time      `json:"last_deployed,omitzero"`
	Deleted       time.Time      `json:"deleted,omitzero"`
	Description   string         `json:"description,omitempty"`
	Status        release.Status `json:"status,omitempty"`
	Notes         string         `json:"notes,omitempty"`
}

// hook is release.Hook with times as Helm 4 has them.
type hook struct {
	Name              string                        `json:"name,omitempty"`
	Kind              string                        `json:"kind,omitempty"`
	Path              string                        `json:"path,omitempty"`
	Manifest          string                        `json:"manifest,omitempty"`
	Events            []release.HookEvent           `json:"events,omitempty"`
	LastRun           execution                     `json:"last_run,omitempty"`
	Weight            int                           `json:"weight,omitempty"`
	DeletePolicies    []release.HookDeletePolicy    `json:"delete_policies,omitempty"`
	OutputLogPolicies []release.HookOutputLogPolicy `json:"output_log_policies,omitempty"`
}

// execution is release.HookExecution with times as Helm 4 has them.
type execution struct {
	StartedAt   time.Time         `json:"started_at,omitzero"`
	CompletedAt time.Time         `json:"completed_at,omitzero"`
	Phase       release.HookPhase `json:"phase"`
}

// observe takes from a release what its digest is of. Tests are left out: who runs them
// again does not change the release.
func observe(r *release.Release, ociDigest string) observation {
	o := observation{
		Name: r.Name, Version: r.Version, Namespace: r.Namespace,
		Info: info{
			FirstDeployed: r.Info.FirstDeployed.Time, LastDeployed: r.Info.LastDeployed.Time, Deleted: r.Info.Deleted.Time,
			Description: r.Info.Description, Status: r.Info.Status, Notes: r.Info.Notes,
		},
		ChartMetadata: *r.Chart.Metadata, Manifest: r.Manifest, OCIDigest: ociDigest,
	}
	if len(r.Config) > 0 { // else it is null
		o.Config = r.Config
	}
	for _, h := range r.Hooks {
		if !isTest(h) {
			o.Hooks = append(o.Hooks, observeHook(h))
		}
	}
	return o
}

func observeHook(h *release.Hook) hook {
	return hook{
		Name: h.Name, Kind: h.Kind, Path: h.Path, Manifest: h.Manifest, Events: h.Events,
		LastRun: execution{StartedAt: h.LastRun.StartedAt.Time, CompletedAt: h.LastRun.CompletedAt.Time, Phase: h.LastRun.Phase},
		Weight:  h.Weight, DeletePolicies: h.DeletePolicies, OutputLogPolicies: h.OutputLogPolicies,
	}
}

// isTest reports whether a hook is a test, whatever else it is.
func isTest(h *release.Hook) bool { return slices.Contains(h.Events, release.HookTest) }

// digest returns the digest of the observation, with what extra its parts have. The line
// break at the end is part of it. It is empty if the observation cannot be encoded, which
// one of a release that was read always can.
func (o observation) digest(algo digest.Algorithm, e *extra) string {
	js, err := json.Marshal(o)
	if err != nil {
		return ""
	}
	if js, err = e.addTo(js); err != nil {
		return ""
	}
	return algo.FromBytes(append(js, '\n')).String()
}

// observed returns what of a stored release its types lack and its observation has.
func observed(e *extra) *extra {
	o := &extra{within: make(map[string]*extra)}
	for name, part := range map[string]*extra{"info": e.in("info"), "chartMetadata": e.in("chart").in("metadata"), "hooks": e.in("hooks")} {
		if part != nil {
			o.within[name] = part
		}
	}
	return o.orNil()
}
