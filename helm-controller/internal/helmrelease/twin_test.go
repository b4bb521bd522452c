package helmrelease

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	helmv2 "weir.dev/api/helm/v2"
)

// made says that a HelmRelease has made a version of release web of namespace apps, some
// seconds after another point in time.
func made(version int, after int64) func(*helmv2.HelmRelease) {
	return func(hr *helmv2.HelmRelease) {
		hr.Status.StorageNamespace = "apps"
		hr.Status.History = helmv2.Snapshots{{Namespace: "apps", Name: "web", Version: version, LastDeployed: metav1.NewTime(time.Unix(after, 0))}}
	}
}

func TestGoesFirst(t *testing.T) {
	t.Parallel()
	created := func(second int64) func(*helmv2.HelmRelease) {
		return func(hr *helmv2.HelmRelease) { hr.CreationTimestamp = metav1.NewTime(time.Unix(second, 0)) }
	}
	elsewhere := func(hr *helmv2.HelmRelease) { hr.Namespace = "tenant" }
	suspended := func(hr *helmv2.HelmRelease) { hr.Spec.Suspend = true }
	type adjust = []func(*helmv2.HelmRelease)
	tests := map[string]struct {
		why       string
		hr, other adjust
		owner     string // by what is stored
		want      bool
	}{
		"of the same second, by name":    {other: adjust{created(1000)}, want: true},
		"older":                          {other: adjust{created(1), func(hr *helmv2.HelmRelease) { hr.Name = "z" }}, want: true},
		"newer":                          {other: adjust{created(2000)}},
		"suspended":                      {other: adjust{created(1), suspended}},
		"suspended, and has it":          {why: "so a release is handed over", other: adjust{created(1), made(1, 1), suspended}, owner: "apps/other"},
		"itself":                         {other: adjust{created(1), func(hr *helmv2.HelmRelease) { hr.UID = "1" }}},
		"has it":                         {why: "to be older is no right", other: adjust{created(2000), made(1, 1)}, want: true},
		"says it has it, from elsewhere": {why: "people can write a status", other: adjust{elsewhere, made(9999, 1<<33)}, hr: adjust{made(1, 1)}},
		"says so, of what is not stored": {why: "the same", other: adjust{created(1), elsewhere, made(9999, 1<<33)}},
		"has it, from elsewhere":         {why: "what is stored says so", other: adjust{created(2000), elsewhere, made(1, 1)}, owner: "tenant/other", want: true},
		"has it, by what is stored":      {why: "it was killed before it could record that", other: adjust{created(2000)}, hr: adjust{made(9, 9)}, owner: "apps/other", want: true},
		"has it not, by what is stored":  {why: "a status is no proof", other: adjust{created(1), made(9, 9)}, owner: "apps/web"},
		"is of one that is gone":         {why: "then statuses are all there is", other: adjust{created(2000), made(1, 1)}, owner: "apps/gone", want: true},
		"has it where it lives":          {why: "nothing stored tells", other: adjust{made(1, 1)}, hr: adjust{elsewhere, made(9999, 1<<33)}, want: true},
		"has it not":                     {other: adjust{created(1)}, hr: adjust{made(1, 1)}},
		"has another":                    {why: "that is no hold on this one", other: adjust{created(2000), made(1, 1), func(hr *helmv2.HelmRelease) { hr.Status.History[0].Name = "x" }}},
		"has taken it over":              {why: "the later one has it", other: adjust{made(2, 9)}, hr: adjust{made(1, 1)}, want: true},
		"has lost it":                    {other: adjust{created(1), made(1, 1)}, hr: adjust{made(2, 9)}},
		"has the later version":          {why: "both are of one second", other: adjust{made(3, 9)}, hr: adjust{made(2, 9)}, want: true},
		"asks for it from elsewhere":     {why: "anybody can", other: adjust{created(1), elsewhere}},
		"lives there, this one is not":   {other: adjust{created(2000)}, hr: adjust{elsewhere}, want: true},
	}
	for name, tc := range tests {
		asks := func(hr *helmv2.HelmRelease) { hr.Spec.StorageNamespace, hr.Spec.ReleaseName = "apps", "web" }
		hr := a(append(adjust{created(1000), asks}, tc.hr...)...)
		other := a(append(adjust{created(1000), asks, func(hr *helmv2.HelmRelease) { hr.UID, hr.Name = "2", "other" }}, tc.other...)...)
		var owner types.NamespacedName
		owner.Namespace, owner.Name, _ = strings.Cut(tc.owner, "/")
		if got := goesFirst(other, hr, owner); got != tc.want {
			t.Errorf("%s: %t; want %t (%s)", name, got, tc.want, tc.why)
		}
	}
}

// TestIndexRelease: who has a release is found by it although another is asked for.
func TestIndexRelease(t *testing.T) {
	t.Parallel()
	renamed := func(hr *helmv2.HelmRelease) { hr.Spec.ReleaseName = "new" }
	tests := map[string]struct {
		hr   *helmv2.HelmRelease
		want []string
	}{
		"nothing made":   {hr: a(), want: []string{"apps/web"}},
		"as it is asked": {hr: a(made(1, 1)), want: []string{"apps/web"}},
		"renamed":        {hr: a(made(1, 1), renamed), want: []string{"apps/new", "apps/web"}},
		"uninstalled":    {hr: a(made(1, 1), renamed, func(hr *helmv2.HelmRelease) { hr.Status.StorageNamespace = "" }), want: []string{"apps/new"}},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, indexRelease(tc.hr)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestAnotherIsNamedWithinTheNamespace only: nobody learns what there is in others.
func TestAnotherIsNamedWithinTheNamespace(t *testing.T) {
	t.Parallel()
	for name, want := range map[types.NamespacedName]string{
		{Namespace: "apps", Name: "other"}:   "HelmRelease 'apps/other'",
		{Namespace: "secret", Name: "other"}: "a HelmRelease of another namespace",
	} {
		if got := another(a(), name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}
