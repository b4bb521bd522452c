package pullrequest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Errors that a caller may want to tell apart.
var (
	// ErrInvalid: no pull request can be asked for with these annotations, or with this
	// URL or these branches.
	ErrInvalid = errors.New("invalid pull request settings")
	// ErrNoToken: there is no token for the API.
	ErrNoToken = errors.New("no token for the API")
	// ErrUnauthorized: the host does not know the token.
	ErrUnauthorized = errors.New("the token is refused")
	// ErrForbidden: the token does not let in to pull requests.
	ErrForbidden = errors.New("the token may not do that")
	// ErrNotFound: the host says that there is no such repository.
	ErrNotFound = errors.New("repository not found")
	// ErrLimited: too many requests were made; see RetryAfter.
	ErrLimited = errors.New("too many requests")
	// ErrRefused: the host does not take the pull request.
	ErrRefused = errors.New("the host refuses it")
	// ErrUnavailable: the host has trouble of its own.
	ErrUnavailable = errors.New("the host is not available")
	// ErrAnswer: the host answers with something that is not of its API.
	ErrAnswer = errors.New("unexpected answer")

	// errNothingToMerge: the branch has no commit that the other has not.
	errNothingToMerge = errors.New("nothing to merge")
)

const (
	// maxRetryAfter is the longest wait that is believed: limits are counted by the hour.
	maxRetryAfter = time.Hour
	maxWords      = 200
)

// answerError is a refusal.
type answerError struct {
	kind       error // one of the sentinels
	status     int
	advice     string        // what to do, or ""
	words      string        // of the host, cleaned; or ""
	retryAfter time.Duration // 0 if the host does not say
}

// Error has no time in it, so that it is the same for the same trouble.
func (e *answerError) Error() string {
	text := fmt.Sprintf("%s (HTTP status %d)", e.kind, e.status)
	for _, more := range []string{e.advice, e.words} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}

func (e *answerError) Unwrap() error { return e.kind }

// RetryAfter returns how long the host asks to be left alone, if err is of one that does.
func RetryAfter(err error) (time.Duration, bool) {
	var answer *answerError
	if errors.As(err, &answer) && answer.retryAfter > 0 {
		return answer.retryAfter, true
	}
	return 0, false
}

// refusal makes an error of an answer that is none of success.
func refusal(kind Kind, res *http.Response, words string, now time.Time) *answerError {
	e := &answerError{status: res.StatusCode, words: words}
	if limited(res) || res.StatusCode >= http.StatusInternalServerError {
		e.retryAfter = retryAfter(res.Header, now)
	}
	switch {
	case limited(res):
		e.kind, e.words = ErrLimited, "" // which have the number of the user, or of the request
	case res.StatusCode >= 300 && res.StatusCode < 400:
		e.kind, e.advice = ErrAnswer, redirected(res)
	case res.StatusCode == http.StatusUnauthorized:
		e.kind = ErrUnauthorized
		e.advice = "it has ended, or is none of the API: a deploy token or password may do for Git and not for that"
	case res.StatusCode == http.StatusForbidden:
		e.kind, e.advice = ErrForbidden, "it needs "+kind.permission()
	case res.StatusCode == http.StatusNotFound:
		e.kind, e.advice = ErrNotFound, "or the API is somewhere else, or the token may not see it, which needs "+kind.permission()
	case res.StatusCode == http.StatusProxyAuthRequired:
		e.kind, e.advice = ErrUnavailable, "the proxy refuses the user name and password"
	case res.StatusCode >= http.StatusInternalServerError:
		e.kind, e.words = ErrUnavailable, "" // a page that says sorry
	case res.StatusCode >= http.StatusBadRequest:
		e.kind = ErrRefused
	default:
		e.kind = ErrAnswer
	}
	return e
}

// limited reports whether an answer means that there were too many requests, for which
// GitHub has two ways of saying so.
func limited(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return res.Header.Get("Retry-After") != "" || res.Header.Get("X-Ratelimit-Remaining") == "0"
	default:
		return false
	}
}

// redirected says where to, by the name of the host alone.
func redirected(res *http.Response) string {
	to, err := res.Location()
	if err != nil {
		return "it is a redirect to nowhere"
	}
	return fmt.Sprintf("it is a redirect to %s://%s, which is not followed: the repository or its host has another URL now", cut(oneLine(to.Scheme), 10), cut(oneLine(to.Host), 100))
}

// retryAfter returns how long the host asks to be left alone; 0 if it does not.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date // by the clock that the host's times are of
	}
	end, ok := limitEnds(header, now)
	if !ok {
		return 0
	}
	return min(max(end.Sub(now), time.Second), maxRetryAfter)
}

// limitEnds returns when the host answers again.
func limitEnds(header http.Header, now time.Time) (time.Time, bool) {
	if value := header.Get("Retry-After"); value != "" {
		if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
			seconds = min(max(seconds, 0), int64(maxRetryAfter/time.Second))
			return now.Add(time.Duration(seconds) * time.Second), true
		}
		end, err := http.ParseTime(value)
		return end, err == nil
	}
	for _, of := range []string{"X-Ratelimit-", "Ratelimit-"} {
		seconds, err := strconv.ParseInt(header.Get(of+"Reset"), 10, 64)
		if err == nil && header.Get(of+"Remaining") == "0" {
			return time.Unix(seconds, 0), true
		}
	}
	return time.Time{}, false
}

// complaint returns what a host says in an answer of JSON, on one line.
func complaint(body []byte) string {
	var answer map[string]any
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var said []string
	for _, key := range []string{"message", "error", "error_description", "errors"} {
		said = gather(said, answer[key], 3)
	}
	return oneLine(strings.Join(said, "; "))
}

// gather adds the words that are in a value of JSON.
func gather(said []string, value any, depth int) []string {
	if depth == 0 || len(said) > 5 {
		return said
	}
	switch v := value.(type) {
	case string:
		return append(said, v)
	case []any:
		for _, one := range v {
			said = gather(said, one, depth-1)
		}
	case map[string]any:
		for _, key := range []string{"message", "base", "title", "description", "source_branch", "target_branch", "validate_branches"} {
			said = gather(said, v[key], depth-1)
		}
	}
	return said
}

// presentable returns a URL that a host gives for people; "" if it is none.
func presentable(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > 1000 || u.Hostname() == "" || u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS || u.User != nil {
		return ""
	}
	return u.String()
}
