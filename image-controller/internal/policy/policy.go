// Package policy says which of the tags of an image is the latest: tags in, tag out.
//
// What it says depends on nothing but the policy and the set of tags. It is the same
// whatever the order of the tags, and also where several tags are equally good. A list
// that many policies look at is prepared once, so that a policy whose best tag is among
// the first looks at no more than these.
//
// Which list that is, and what becomes of the answer, is the caller's.
package policy

import (
	"errors"
	"fmt"

	imagev1 "weir.dev/api/image/v1"
)

var (
	// ErrInvalid is wrapped by errors about a spec that says nothing which tags could be
	// judged by. They name the field.
	ErrInvalid = errors.New("invalid policy")

	// ErrNoTags is wrapped when there are no candidates: no tags, or none that the
	// filter lets through.
	ErrNoTags = errors.New("version list argument cannot be empty")

	// ErrNoMatch is wrapped when there are candidates, and none of them will do.
	ErrNoMatch = errors.New("unable to determine latest version from provided list")

	// ErrNotNumber is wrapped when a candidate of a numerical policy is no number.
	ErrNotNumber = errors.New("not a number")
)

// Policy selects the latest tag. It does not change and may be used by many at once.
type Policy struct {
	text   string  // equal for policies that say the same
	filter *filter // nil lets everything through
	order  order
}

// order is how a policy compares.
type order interface {
	// String tells what it is: equal for orders that say the same.
	String() string
	// latest selects from the tags that a filter lets through.
	latest(t *Tags, f *filter) (string, error)
}

// Compile makes a Policy of a spec. It looks at the policy and at the filter only.
func Compile(spec imagev1.ImagePolicySpec) (*Policy, error) {
	order, err := newOrder(spec.Policy)
	if err != nil {
		return nil, err
	}
	filter, err := newFilter(spec.FilterTags)
	if err != nil {
		return nil, err
	}
	return &Policy{text: fmt.Sprintf("%q", append(filter.parts(), order.String())), filter: filter, order: order}, nil
}

// newOrder returns how to compare: the first choice that is made counts.
func newOrder(choice imagev1.ImagePolicyChoice) (order, error) {
	switch {
	case choice.SemVer != nil:
		return newVersionOrder(choice.SemVer.Range)
	case choice.Alphabetical != nil:
		descending, err := descends("spec.policy.alphabetical.order", choice.Alphabetical.Order)
		return names{descending}, err
	case choice.Numerical != nil:
		descending, err := descends("spec.policy.numerical.order", choice.Numerical.Order)
		return numbers{descending}, err
	default:
		return nil, fmt.Errorf("%w: spec.policy has none of semver, alphabetical and numerical", ErrInvalid)
	}
}

// descends reads a direction.
func descends(field string, direction imagev1.PolicyOrder) (bool, error) {
	switch direction {
	case "", imagev1.PolicyOrderAscending:
		return false, nil
	case imagev1.PolicyOrderDescending:
		return true, nil
	default:
		return false, fmt.Errorf("%w: %s is %q, which is neither %s nor %s",
			ErrInvalid, field, direction, imagev1.PolicyOrderAscending, imagev1.PolicyOrderDescending)
	}
}

// Latest returns the latest of some tags.
func (p *Policy) Latest(tags []string) (string, error) { return p.LatestOf(Prepare(tags)) }

// LatestOf is Latest for a list that other policies look at, too.
func (p *Policy) LatestOf(t *Tags) (string, error) {
	if len(t.list) == 0 {
		return "", fmt.Errorf("%w: there are no tags", ErrNoTags)
	}
	return t.answer(p.text, func() (string, error) { return p.order.latest(t, p.filter) })
}
