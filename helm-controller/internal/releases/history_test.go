package releases

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// TestVersions reads what is stored.
func TestVersions(t *testing.T) {
	t.Parallel()
	other := stored(t, demo(7, release.StatusDeployed))
	other.Name, other.Labels[nameLabel] = "sh.helm.release.v1.demo2.v7", "demo2"
	copied := stored(t, demo(9, release.StatusDeployed))
	copied.Name = "backup-of-" + copied.Name
	v := newVault(stored(t, demo(2, release.StatusSuperseded)), stored(t, demo(10, release.StatusDeployed)), other, copied)
	h := Open(v, "demo")
	all, err := h.All(t.Context())
	if err != nil || len(all) != 2 || all[0].Version != 10 || all[1].Version != 2 {
		t.Errorf("All: %d versions and %v; want 10 and 2", len(all), err)
	}
	if r, err := h.Last(t.Context()); err != nil || r.Version != 10 {
		t.Errorf("Last: %v", err)
	}
	if r, err := h.Get(t.Context(), 2); err != nil || r.Version != 2 || r.Labels["owner"] != "" {
		t.Errorf("Get: %v", err)
	}
	if _, err := h.Get(t.Context(), 9); !errors.Is(err, ErrNotFound) {
		t.Errorf("a copy of a Secret, which Helm does not find, is a version: %v", err)
	}
	if diff := cmp.Diff(map[string]int{"list": 1}, v.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, err := Open(v, "none").Last(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is not stored: %v", err)
	}
	if all, err := Open(v, "none").All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("what is not stored: %d versions, %v", len(all), err)
	}
}

// TestNamesAreNoSelectors: a name comes from a spec.
func TestNamesAreNoSelectors(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusDeployed)))
	for _, name := range []string{"demo,x=y", "demo in", "a/b"} {
		if _, err := Open(v, name).All(t.Context()); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q selects: %v", name, err)
		}
	}
	if asked := v.asked(); len(asked) != 0 {
		t.Errorf("the API server was asked: %v", asked)
	}
}

// TestFailedListIsRepeated: it says nothing of what is stored.
func TestFailedListIsRepeated(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusDeployed)))
	fail := true
	v.PrependReactor("list", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return fail, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("no"))
	})
	h := Open(v, "demo")
	d := h.Driver(t.Context(), DriverOptions{})
	if _, err := d.Query(map[string]string{"name": "demo", "owner": "helm"}); !apierrors.IsForbidden(err) || errors.Is(err, driver.ErrReleaseNotFound) {
		t.Errorf("what may not be listed: %v", err)
	}
	fail = false
	if r, err := h.Last(t.Context()); err != nil || r.Version != 1 {
		t.Errorf("Last: %v", err)
	}
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		status release.Status
		others func(*corev1.Secret) // what others do meanwhile
		want   error
	}{
		"an install":       {why: "nobody carries it on", status: release.StatusPendingInstall},
		"an upgrade":       {why: "nobody carries it on", status: release.StatusPendingUpgrade},
		"a rollback":       {why: "nobody carries it on", status: release.StatusPendingRollback},
		"an uninstall":     {why: "nobody carries it on", status: release.StatusUninstalling},
		"what is deployed": {why: "there is nothing to unlock", status: release.StatusDeployed, want: ErrNotLocked},
		"what has failed":  {why: "there is nothing to unlock", status: release.StatusFailed, want: ErrNotLocked},
		"what others label": {why: "that is nothing to Helm", status: release.StatusPendingUpgrade, others: func(s *corev1.Secret) {
			s.Labels["seen"], s.Annotations = "yes", map[string]string{"note": "x"}
		}},
		"what others end": {why: "somebody carried it on", status: release.StatusPendingUpgrade, want: ErrChanged, others: func(s *corev1.Secret) {
			s.Data[dataKey] = append(s.Data[dataKey], "\n"...)
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(stored(t, demo(1, release.StatusSuperseded)), stored(t, demo(2, tc.status)))
			r, err := Open(v, "demo").Last(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tc.others != nil {
				s := v.secret(t, "demo", 2)
				tc.others(s)
				if err := v.Tracker().Update(secretsResource(), s, namespace); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Open(v, "demo").Unlock(t.Context(), r)
			if tc.want != nil {
				if !errors.Is(err, tc.want) || r.Info.Status != tc.status {
					t.Errorf("Unlock: %v; want %v (%s)", err, tc.want, tc.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := demo(2, release.StatusFailed)
			want.Info.Description = "Release unlocked from stale '" + tc.status.String() + "' state"
			if diff := cmp.Diff(text(t, want), text(t, got.Release)); diff != "" {
				t.Errorf("unlocked (-want +got):\n%s", diff)
			}
			s := v.secret(t, "demo", 2)
			if s.Labels[statusLabel] != "failed" || tc.others != nil && (s.Labels["seen"] != "yes" || s.Annotations["note"] != "x") {
				t.Errorf("the Secret has labels %v and annotations %v", s.Labels, s.Annotations)
			}
		})
	}
}

// TestOthersWriteMeanwhile: what Helm wrote on a terminal is not overwritten.
func TestOthersWriteMeanwhile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		others func(t *testing.T, v *vault, s *corev1.Secret)
		want   error
		asked  map[string]int
	}{
		"a label": {
			why:    "backups are labelled while an upgrade takes minutes",
			others: func(t *testing.T, v *vault, s *corev1.Secret) { s.Labels["backup"] = "1"; put(t, v, s) },
			asked:  map[string]int{"list": 1, "update": 2, "get": 1},
		},
		"the release": {
			why:    "it is not ours any more",
			others: func(t *testing.T, v *vault, s *corev1.Secret) { s.Data[dataKey] = []byte("e30="); put(t, v, s) },
			want:   ErrChanged, asked: map[string]int{"list": 1, "update": 1, "get": 1},
		},
		"another of that name": {
			why:    "it is not ours any more",
			others: func(t *testing.T, v *vault, s *corev1.Secret) { s.UID = "other"; put(t, v, s) },
			want:   ErrChanged, asked: map[string]int{"list": 1, "update": 1, "get": 1},
		},
		"nothing": {
			why: "a deleted version does not come back",
			others: func(t *testing.T, v *vault, s *corev1.Secret) {
				if err := v.Tracker().Delete(secretsResource(), s.Namespace, s.Name); err != nil {
					t.Fatal(err)
				}
			},
			want: ErrChanged, asked: map[string]int{"list": 1, "update": 1, "get": 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(stored(t, demo(1, release.StatusDeployed)))
			refused := false
			v.PrependReactor("update", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				if refused {
					return false, nil, nil
				}
				refused = true
				return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, keyOf("demo", 1), errors.New("changed"))
			})
			d := Open(v, "demo").Driver(t.Context(), DriverOptions{})
			rel, err := d.Get(keyOf("demo", 1))
			if err != nil {
				t.Fatal(err)
			}
			now, err := v.Tracker().Get(secretsResource(), namespace, keyOf("demo", 1))
			if err != nil {
				t.Fatal(err)
			}
			tc.others(t, v, now.(*corev1.Secret).DeepCopy())
			rel.Info.Status = release.StatusSuperseded
			if err := d.Update(keyOf("demo", 1), rel); !errors.Is(err, tc.want) {
				t.Errorf("Update: %v; want %v (%s)", err, tc.want, tc.why)
			}
			if diff := cmp.Diff(tc.asked, v.asked()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if tc.want != nil {
				return
			}
			if s := v.secret(t, "demo", 1); s.Labels["backup"] != "1" || s.Labels[statusLabel] != "superseded" {
				t.Errorf("labels %v", s.Labels)
			}
		})
	}
}

// put stores a Secret as somebody else.
func put(t *testing.T, v *vault, s *corev1.Secret) {
	t.Helper()
	if err := v.Tracker().Update(secretsResource(), s, namespace); err != nil {
		t.Fatal(err)
	}
}

// TestDoubtfulWrites: after an error nobody knows what was stored, so it is looked up.
func TestDoubtfulWrites(t *testing.T) {
	t.Parallel()
	errLost := errors.New("connection lost")
	for _, verb := range []string{"create", "update", "delete"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			v := newVault(stored(t, demo(1, release.StatusDeployed)))
			v.PrependReactor(verb, "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
				// It was done, but the answer does not come.
				_, _, err := clienttesting.ObjectReaction(v.Tracker())(a)
				return true, nil, errors.Join(errLost, err)
			})
			h := Open(v, "demo")
			d := h.Driver(t.Context(), DriverOptions{})
			if _, err := h.Last(t.Context()); err != nil {
				t.Fatal(err)
			}
			var err error
			want := []int{1}
			switch verb {
			case "create":
				err = d.Create(keyOf("demo", 2), demo(2, release.StatusPendingUpgrade))
				want = []int{2, 1}
			case "update":
				err = d.Update(keyOf("demo", 1), demo(1, release.StatusFailed))
			case "delete":
				_, err = d.Delete(keyOf("demo", 1))
				want = nil
			}
			if !errors.Is(err, errLost) {
				t.Fatalf("%s: %v; want %v", verb, err, errLost)
			}
			all, err := h.All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, r := range all {
				got = append(got, r.Version)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
			if verb == "update" && all[0].Info.Status != release.StatusFailed {
				t.Errorf("the version is %s", all[0].Info.Status)
			}
		})
	}
}

func TestContextEndsRequests(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusDeployed)))
	ctx, cancel := context.WithCancel(t.Context())
	var got context.Context
	h := Open(contexts{vault: v, saw: func(ctx context.Context) { got = ctx }}, "demo")
	d := h.Driver(ctx, DriverOptions{})
	for what, ask := range map[string]func() error{
		"create": func() error { return d.Create(keyOf("demo", 2), demo(2, release.StatusFailed)) },
		"update": func() error { return d.Update(keyOf("demo", 1), demo(1, release.StatusFailed)) },
	} {
		got = nil
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		if got != ctx {
			t.Errorf("%s does not end with the context of the action", what)
		}
	}
	cancel()
}

// contexts tells of the contexts of writes.
type contexts struct {
	*vault
	saw func(context.Context)
}

func (c contexts) Create(ctx context.Context, s *corev1.Secret, opts metav1.CreateOptions) (*corev1.Secret, error) {
	c.saw(ctx)
	return c.SecretInterface.Create(ctx, s, opts)
}

func (c contexts) Update(ctx context.Context, s *corev1.Secret, opts metav1.UpdateOptions) (*corev1.Secret, error) {
	c.saw(ctx)
	return c.SecretInterface.Update(ctx, s, opts)
}

// TestPages: more versions than one answer has.
func TestPages(t *testing.T) {
	t.Parallel()
	v := newVault()
	v.PrependReactor("list", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		opts := a.(clienttesting.ListActionImpl).ListOptions
		if opts.Limit != pageSize || !strings.Contains(opts.LabelSelector, "name=demo") {
			t.Errorf("the list is limited to %d of %q", opts.Limit, opts.LabelSelector)
		}
		if opts.Continue == "" {
			return true, &corev1.SecretList{ListMeta: metav1.ListMeta{Continue: "more"}, Items: []corev1.Secret{*stored(t, demo(1, release.StatusSuperseded))}}, nil
		}
		return true, &corev1.SecretList{Items: []corev1.Secret{*stored(t, demo(2, release.StatusDeployed))}}, nil
	})
	all, err := Open(v, "demo").All(t.Context())
	if err != nil || len(all) != 2 {
		t.Errorf("All: %d versions, %v", len(all), err)
	}
}

// TestWithoutEnd: a tenant may fill a namespace with Secrets.
func TestWithoutEnd(t *testing.T) {
	t.Parallel()
	v := newVault()
	large := holding(1, release.StatusFailed, make([]byte, maxStored))
	pages := 0
	v.PrependReactor("list", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		pages++
		page := &corev1.SecretList{ListMeta: metav1.ListMeta{Continue: "more"}}
		for range pageSize {
			page.Items = append(page.Items, *large)
		}
		return true, page, nil
	})
	if _, err := Open(v, "demo").All(t.Context()); !errors.Is(err, ErrTooLarge) || pages != maxHistory/maxStored/pageSize+1 {
		t.Errorf("All: %v after %d pages", err, pages)
	}
}
