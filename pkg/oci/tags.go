package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// tagsPage is how many tags are asked for at once.
const tagsPage = "1000"

// Tags lists the tags of the repository. What the registry calls so and cannot be a tag is
// left out.
func (s *Session) Tags(ctx context.Context) ([]string, error) {
	next := s.url("tags", "list")
	next.RawQuery = url.Values{"n": {tagsPage}}.Encode()
	var all []string
	for pages := 0; next != nil; pages++ {
		if pages == s.limits.TagPages {
			return nil, fmt.Errorf("%w: the list of tags exceeds the limit of %d pages", ErrTooLarge, pages)
		}
		res, err := s.ask(ctx, http.MethodGet, next, "application/json")
		if err != nil {
			return nil, err
		}
		text, err := read(ctx, res, s.limits.TagPage, "page of tags")
		if err != nil {
			return nil, err
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, fmt.Errorf("%w: the list of tags is no JSON of that form", ErrCorrupt)
		}
		if len(all)+len(page.Tags) > s.limits.Tags {
			return nil, fmt.Errorf("%w: the repository has more than %d tags", ErrTooLarge, s.limits.Tags)
		}
		for _, tag := range page.Tags {
			if CheckTag(tag) == nil {
				all = append(all, tag)
			}
		}
		if next, err = s.nextPage(res); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// nextPage returns where the list goes on, nil if it does not. That is of the registry's
// own words, so it has to stay with the repository.
func (s *Session) nextPage(res *http.Response) (*url.URL, error) {
	link := res.Header.Get("Link")
	if link == "" {
		return nil, nil
	}
	target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	first := s.url("tags", "list")
	next, err := url.Parse(target)
	if !ok || err != nil {
		return nil, fmt.Errorf("%w: the list of tags goes on at what is no URL", ErrCorrupt)
	}
	next = first.ResolveReference(next)
	if next.Host != first.Host {
		return nil, fmt.Errorf("%w: the list of tags goes on at another host", ErrUntrusted)
	}
	next.Scheme, next.User = first.Scheme, nil
	return next, nil
}

// Latest returns the tag with the highest version in a range. Of the tags, those count
// that match a filter, if there is one, and are versions.
func Latest(tags []string, constraint, filter string) (string, error) {
	return latest(tags, constraint, filter, func(tag string) string { return tag })
}

// LatestChart is Latest for the tags of Helm charts: a tag has an underscore where the
// version has a plus.
func LatestChart(tags []string, constraint, filter string) (string, error) {
	return latest(tags, constraint, filter, func(tag string) string { return strings.ReplaceAll(tag, "_", "+") })
}

func latest(tags []string, constraint, filter string, version func(string) string) (string, error) {
	within, err := semver.NewConstraint(constraint)
	if err != nil {
		return "", fmt.Errorf("%w: semver %q: %w", ErrInvalidReference, shortened(constraint), err)
	}
	pattern, err := regexp.Compile(filter)
	if err != nil {
		return "", fmt.Errorf("%w: semverFilter %q: %w", ErrInvalidReference, shortened(filter), err)
	}
	var best *semver.Version
	var chosen string
	for _, tag := range tags {
		if !pattern.MatchString(tag) || CheckTag(tag) != nil {
			continue
		}
		v, err := semver.StrictNewVersion(strings.TrimPrefix(version(tag), "v"))
		if err != nil || !within.Check(v) {
			continue
		}
		if best == nil || v.GreaterThan(best) || v.Equal(best) && tag > chosen {
			best, chosen = v, tag
		}
	}
	if best == nil {
		return "", fmt.Errorf("%w: %s", ErrNoMatch, constraint)
	}
	return chosen, nil
}
