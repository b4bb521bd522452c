package helmrelease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/log"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
)

const (
	// maxFormer bounds how many releases are read to find one that may be ours.
	maxFormer = 20
	// pageOfSecrets is how many Secrets one request lists.
	pageOfSecrets = 500
)

// askedPlace is where the release is to be that a HelmRelease asks for.
func askedPlace(hr *helmv2.HelmRelease) plan.Place {
	return plan.Place{Storage: hr.GetStorageNamespace(), Namespace: hr.GetReleaseNamespace(), Name: hr.GetReleaseName()}
}

// formerPlace is where the release is that a HelmRelease has made, by its history. A process
// that was killed in the first action has left none; if the spec may have changed since, the
// release may be of another name than it asks for, so it is looked for.
func (r *Reconciler) formerPlace(ctx context.Context, s *scope) (plan.Place, error) {
	st := &s.hr.Status
	was := placeOf(s.hr)
	if was.Name != "" || st.StorageNamespace == "" || st.LastAttemptedGeneration == s.hr.Generation {
		return was, nil
	}
	names, err := r.formerNames(ctx, s)
	if err != nil {
		return was, fmt.Errorf("looking for the release of an action that was cut off: %w", err)
	}
	for _, name := range names {
		at, err := r.isFormer(ctx, s, name)
		if err != nil {
			return was, err
		}
		if at.Name != "" {
			log.FromContext(ctx).Info("found the release of an action that was cut off", "release", at.Namespace+"/"+at.Name)
			return at, nil
		}
	}
	return was, nil
}

// formerNames returns the names of releases that could be ours and not be known, the newest
// first: those that were made since there is the HelmRelease, and are of no other.
func (r *Reconciler) formerNames(ctx context.Context, s *scope) ([]string, error) {
	reader, err := metadata.NewForConfigAndClient(s.at.Config(), s.at.HTTP())
	if err != nil {
		return nil, err
	}
	storage := s.hr.Status.StorageNamespace
	secrets := reader.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(storage)
	opts := metav1.ListOptions{LabelSelector: labels.Set{"owner": "helm"}.String(), Limit: pageOfSecrets}
	var found []metav1.PartialObjectMetadata
	for {
		page, err := secrets.List(ctx, opts)
		if apierrors.IsForbidden(err) {
			return nil, nil // who may not look has not stored what could be found
		}
		if err != nil {
			return nil, err
		}
		for _, secret := range page.Items {
			if !secret.CreationTimestamp.Before(&s.hr.CreationTimestamp) && secret.Labels["name"] != s.hr.GetReleaseName() {
				found = append(found, secret)
			}
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			break
		}
	}
	slices.SortStableFunc(found, func(a, b metav1.PartialObjectMetadata) int {
		return cmp.Compare(b.CreationTimestamp.Unix(), a.CreationTimestamp.Unix())
	})
	var names []string
	for _, secret := range found {
		name := secret.Labels["name"]
		if name == "" || slices.Contains(names, name) {
			continue
		}
		owners, err := r.ownersOf(ctx, releaseKey(storage, name))
		if err != nil {
			return nil, err
		}
		if len(owners) == 0 && len(names) < maxFormer {
			names = append(names, name)
		}
	}
	return names, nil
}

// isFormer returns the place of a release if it is what the last action was to make; an empty
// one if not.
func (r *Reconciler) isFormer(ctx context.Context, s *scope, name string) (plan.Place, error) {
	at := plan.Place{Storage: s.hr.Status.StorageNamespace, Name: name}
	secrets, err := secretsOf(s.at, at.Storage)
	if err != nil {
		return plan.Place{}, err
	}
	last, err := releases.Open(secrets, name).Last(ctx)
	switch {
	case errors.Is(err, releases.ErrCorrupt), errors.Is(err, releases.ErrNotFound):
		return plan.Place{}, nil
	case err != nil:
		return plan.Place{}, err
	case strings.TrimSpace(last.Manifest) == "":
		return plan.Place{}, nil // there are no objects that would tell
	}
	at.Namespace, at.Chart = last.Namespace, last.Chart.Metadata.Name
	found, _, err := r.observe(ctx, s, at)
	if err != nil || len(found.Recovered) == 0 {
		return plan.Place{}, err
	}
	return at, nil
}
