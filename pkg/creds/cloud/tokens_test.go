package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/oauth2"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/creds/credstest"
	"weir.dev/pkg/creds/githubapp"
)

// app returns the app of an API, as a Secret has it.
func app(t *testing.T, g *credstest.GitHub) githubapp.App {
	t.Helper()
	a, err := githubapp.New(map[string][]byte{
		"githubAppID":             []byte(strconv.Itoa(credstest.AppID)),
		"githubAppInstallationID": []byte(strconv.Itoa(credstest.InstallationID)),
		"githubAppPrivateKey":     g.PrivateKey,
		"githubAppBaseURL":        []byte(g.URL),
	}, "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestGitHubApp(t *testing.T) {
	t.Parallel()
	g := credstest.StartGitHub(t, time.Hour)
	w := newWorld(t, cloud.Options{CacheSize: 10})
	a := app(t, g)
	ask := func() creds.Git {
		t.Helper()
		c, err := w.GitHubApp(t.Context(), fleet(""), a, creds.Proxy{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := ask()
	if diff := cmp.Diff(creds.Git{Username: creds.Hide("x-access-token"), Password: creds.Hide("ghs_token-value-1"), Identity: first.Identity}, first); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	w.now = w.now.Add(47 * time.Minute)
	if again := ask(); !again.Password.Equal(first.Password) {
		t.Error("a token that is good for some more minutes is replaced")
	}
	w.now = w.now.Add(2 * time.Minute)
	later := ask()
	if later.Password.Equal(first.Password) {
		t.Error("a token that is about to end is not replaced")
	}
	if later.Fingerprint() != first.Fingerprint() {
		t.Error("the next token has another store")
	}
	if n := len(g.Requests()); n != 2 {
		t.Errorf("%d requests to the API, want 2", n)
	}
}

func TestTokensAreNotKept(t *testing.T) {
	t.Parallel()
	g := credstest.StartGitHub(t, time.Hour)
	a := app(t, g)
	none := newWorld(t, cloud.Options{})
	short := newWorld(t, cloud.Options{CacheSize: 10, CacheDuration: time.Minute})
	for range 2 {
		for _, w := range []*world{none, short} {
			if _, err := w.GitHubApp(t.Context(), fleet(""), a, creds.Proxy{}); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(2 * time.Minute)
		}
	}
	if n := len(g.Tokens()); n != 4 {
		t.Errorf("%d tokens, want one each time", n)
	}
}

// TestTokensAreFew: those that are not asked for make room.
func TestTokensAreFew(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, cloud.Options{CacheSize: 2, Metrics: registry})
	region := func(name string) {
		t.Helper()
		if _, err := w.S3(t.Context(), fleet(""), name, "", creds.Proxy{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "a", "c", "a", "b"} { // b makes room for c, and c for b
		region(name)
	}
	want := []string{"controller in a", "controller in b", "controller in c", "controller in b"}
	if diff := cmp.Diff(want, w.clouds.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	counts := map[string]float64{
		"gotk_token_cached_items": 2, "gotk_token_cache_evictions_total": 2, "gotk_token_cache_requests_total success": 6,
		"gotk_token_cache_events_total cache_hit GitRepository fleet team reconcile":  2,
		"gotk_token_cache_events_total cache_miss GitRepository fleet team reconcile": 4,
	}
	if diff := cmp.Diff(counts, counted(t, registry)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	w.Forget(fleet(""))
	for name := range counted(t, registry) {
		if strings.Contains(name, "fleet") {
			t.Errorf("%s is counted for an object that is gone", name)
		}
	}
	// A process may begin anew in tests, and the registry stays.
	if _, err := cloud.New(w.plane, w.plane, cloud.Options{Metrics: registry}); err != nil {
		t.Error(err)
	}
}

// counted returns what was counted: name and labels.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			all[name] = value(m)
		}
	}
	return all
}

func value(m *dto.Metric) float64 {
	if m.GetGauge() != nil {
		return m.GetGauge().GetValue()
	}
	return m.GetCounter().GetValue()
}

// TestOneTokenForMany: a thousand objects of one identity do not ask a thousand times.
func TestOneTokenForMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateOn)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if _, err := w.S3(t.Context(), fleet(""), "a", "", creds.Proxy{}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(w.clouds.asked) != 1 {
		t.Errorf("the cloud was asked %d times", len(w.clouds.asked))
	}
}

// TestNobodyWaitsForOthers: an API that does not answer keeps its own users waiting, and
// these no longer than they want.
func TestNobodyWaitsForOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateOn)
	hangs, enough := make(chan struct{}), errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.clouds.hang = func(ctx context.Context) error {
		if ctx.Value(slow{}) == nil {
			return nil
		}
		close(hangs)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	first := make(chan error, 1)
	go func() {
		_, err := w.S3(context.WithValue(ctx, slow{}, true), fleet(""), "slow", "", creds.Proxy{})
		first <- err
	}()
	<-hangs
	if _, err := w.S3(t.Context(), fleet(""), "quick", "", creds.Proxy{}); err != nil {
		t.Errorf("another token: %v", err)
	}
	impatient, stop := context.WithCancelCause(t.Context())
	stop(enough)
	if _, err := w.S3(impatient, fleet(""), "slow", "", creds.Proxy{}); !errors.Is(err, enough) {
		t.Errorf("the same token: %v, want to wait no longer than the context", err)
	}
	cancel(enough)
	if err := <-first; err == nil {
		t.Error("the first got a token that was never handed out")
	}
	if _, err := w.S3(t.Context(), fleet(""), "slow", "", creds.Proxy{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// slow marks who is not answered.
type slow struct{}

// TestFailuresAreNotKept: what was refused is asked for again.
func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, cloud.Options{CacheSize: 10, Metrics: registry})
	w.clouds.wrong = errors.New("not now")
	if _, err := w.S3(t.Context(), fleet(""), "a", "", creds.Proxy{}); !errors.Is(err, w.clouds.wrong) {
		t.Errorf("%v, want what the cloud says", err)
	}
	w.clouds.wrong = nil
	if _, err := w.S3(t.Context(), fleet(""), "a", "", creds.Proxy{}); err != nil {
		t.Error(err)
	}
	if got := counted(t, registry)["gotk_token_cache_requests_total failure"]; got != 1 {
		t.Errorf("%v failures counted, want 1", got)
	}
}

// TestStable: the same refusal has the same words each time.
func TestStable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  func(request string) error
		want string
	}{
		"AWS": {
			err: func(request string) error {
				return fmt.Errorf("RequestID: %s, %w", request, &smithy.GenericAPIError{Code: "AccessDenied", Message: "not you"})
			},
			want: "AWS refuses: AccessDenied: not you",
		},
		"Azure": {
			err: func(request string) error {
				return fmt.Errorf("%s: %w", request, &azcore.ResponseError{ErrorCode: "Denied"})
			},
			want: "Azure refuses: Denied",
		},
		"identity of Azure": {
			err: func(request string) error {
				return fmt.Errorf("%s: %w", request, &azidentity.AuthenticationFailedError{})
			},
			want: "Azure refuses the identity",
		},
		"Google": {
			err: func(request string) error {
				return fmt.Errorf("%s: %w", request, &oauth2.RetrieveError{ErrorCode: "denied", ErrorDescription: "not you"})
			},
			want: "Google refuses: denied not you",
		},
	}
	for name, tc := range tests {
		for _, request := range []string{"1", "2"} {
			in := tc.err(request)
			got := cloud.Stable(in)
			if got.Error() != tc.want || !errors.Is(got, in) {
				t.Errorf("%s: %q, want %q of the error", name, got, tc.want)
			}
		}
	}
	plain := errors.New("plain")
	if got := cloud.Stable(plain); !errors.Is(got, plain) || got.Error() != "plain" {
		t.Errorf("another error becomes %v", got)
	}
}
