package imagerepository

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/tags"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/oci"
)

// Reasons for a scan.
const (
	firstScan      = "first scan"
	requested      = "reconcile requested"
	newImage       = "new image name"
	newExclusions  = "updated exclusion list"
	noTags         = "no tags in database"
	newSpec        = "updated spec"
	lastFailed     = "last scan failed"
	intervalOver   = "triggered by interval"
	newCredentials = "updated credentials"
)

// maxPattern bounds a regular expression of the exclusion list, in bytes.
const maxPattern = 4096

// exclusions are the tags that are left out.
type exclusions []*regexp.Regexp

// match reports whether a tag is left out.
func (e exclusions) match(tag string) bool {
	return slices.ContainsFunc(e, func(pattern *regexp.Regexp) bool { return pattern.MatchString(tag) })
}

// inspect reads the spec.
func (r *Reconciler) inspect(_ context.Context, s *scope) error {
	var err error
	if s.image, err = oci.ParseImage(s.repo.Spec.Image); err != nil {
		return loop.Stall(imagev1.ReasonImageURLInvalid, err)
	}
	for _, text := range s.repo.Spec.ExclusionList {
		if len(text) > maxPattern {
			return loop.Stall(imagev1.ReasonReadOperationFailed, fmt.Errorf("scan failed: an element of spec.exclusionList has more than %d bytes", maxPattern))
		}
		pattern, err := regexp.Compile(text)
		if err != nil {
			return loop.Stall(imagev1.ReasonReadOperationFailed, fmt.Errorf("scan failed: spec.exclusionList: %w", err))
		}
		s.excluded = append(s.excluded, pattern)
	}
	return nil
}

// decide ends the run if there is no reason for a scan.
func (r *Reconciler) decide(ctx context.Context, s *scope) error {
	scan, ok := r.lists.Scanned(client.ObjectKeyFromObject(s.repo), s.repo.Spec.Image)
	if !ok {
		scan = tags.Scan{}
	}
	s.why = reason(s.repo, s.image.String(), scan, r.now(), r.jitter)
	if s.why == "" {
		if err := r.compareCredentials(ctx, s); err != nil {
			return err
		}
	}
	if s.why == "" {
		log.FromContext(ctx).V(1).Info("no change in repository configuration since last scan")
		return loop.Done()
	}
	log.FromContext(ctx).V(1).Info("scanning", "why", s.why)
	return nil
}

// announce tells of a scan for tags that were lost. When they are there again, they may be
// the same, and policies that found none would not be told if Ready had been True all the
// time.
func (r *Reconciler) announce(ctx context.Context, s *scope) error {
	if s.why != noTags || !conditions.IsReady(s.repo) {
		return nil
	}
	loop.MarkProgressing(s.repo, "scanning: %s", s.why)
	return r.save(ctx, s.repo)
}

// reason returns why an image is to be scanned; empty if it is not. The interval may be
// shorter by the part by which runs are spread.
func reason(repo *imagev1.ImageRepository, image string, scan tags.Scan, now time.Time, jitter float64) string {
	request, asked := loop.RequestedAt(repo)
	interval := repo.GetInterval() - time.Duration(jitter*float64(repo.GetInterval()))
	switch {
	case repo.Status.LastScanResult == nil:
		return firstScan
	case asked && request != repo.Status.LastHandledReconcileAt:
		return requested
	case image != repo.Status.CanonicalImageName:
		return newImage
	case !slices.Equal(repo.Spec.ExclusionList, repo.Status.ObservedExclusionList):
		return newExclusions
	case scan.Revision == "" || scan.Revision != repo.Status.LastScanResult.Revision:
		return noTags
	case repo.Generation != repo.Status.ObservedGeneration:
		return newSpec
	case !conditions.IsReady(repo):
		return lastFailed
	case now.Sub(scan.Time) >= interval || now.Before(scan.Time):
		return intervalOver
	default:
		return ""
	}
}

// compareCredentials finds a reason for a scan in the Secrets, of which a change wakes
// whoever has read them: those who can get in now may see something else.
func (r *Reconciler) compareCredentials(ctx context.Context, s *scope) error {
	last, ok := r.sessions.Load(client.ObjectKeyFromObject(s.repo))
	if !ok {
		return nil // there was no scan since the process began, so nothing was read
	}
	if err := r.logIn(ctx, s); err != nil {
		return err
	}
	if s.session != last {
		s.why = newCredentials
	}
	return nil
}
