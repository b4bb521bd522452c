package verb_test

import (
	"strings"
	"testing"
)

// TestGetOneThatIsOtherwise: an object that --status-selector does not let through is not
// said not to exist.
func TestGetOneThatIsOtherwise(t *testing.T) {
	t.Parallel()
	of := func(exists bool) *answers {
		a := everyKind()
		list := "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
		if !exists {
			a.by[list] = map[string]any{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "KustomizationList", "metadata": map[string]any{}, "items": []any{}}
		}
		a.by["/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"] = a.by[list]
		return a
	}
	tests := map[string]struct {
		why    string
		args   string
		exists bool
		want   string
	}{
		"otherwise": {
			args: "get ks one --status-selector ready=true", exists: true,
			want: "✗ no Kustomization \"one\" in namespace \"flux-system\" matches the status selector \"ready=true\"\n  see how it is: weir get kustomization one -n flux-system\n",
		},
		"otherwise everywhere": {
			args: "get ks one --status-selector ready=true -A", exists: true,
			want: "✗ no Kustomization \"one\" in any namespace matches the status selector \"ready=true\"\n  see how it is: weir get kustomization one -A\n",
		},
		"otherwise, for programs": {
			args: "get ks one --status-selector ready=true -o json", exists: true,
			want: "✗ no Kustomization \"one\" in namespace \"flux-system\" matches the status selector \"ready=true\"\n  see how it is: weir get kustomization one -n flux-system\n",
		},
		"absent": {
			why: "it is not there, however it would be", args: "get ks one --status-selector ready=true",
			want: "✗ Kustomization \"one\" not found in namespace \"flux-system\"\n  see all: weir get kustomization -A\n",
		},
		"without a name": {
			args: "get ks --status-selector ready=true", exists: true,
			want: "✗ no Kustomization objects that match the selector found in namespace \"flux-system\"\n",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, out, said := weir(t, of(tc.exists), strings.Fields(tc.args)...); out != "" || said != tc.want {
				t.Errorf("printed %q and said %q; want %q (%s)", out, said, tc.want, tc.why)
			}
		})
	}
}

// TestMessagesOfSeveralLines: a wide table has all of a message, and others how it begins.
func TestMessagesOfSeveralLines(t *testing.T) {
	t.Parallel()
	a := everyKind()
	a.by["/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"] = map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "KustomizationList", "metadata": map[string]any{}, "items": []any{
			map[string]any{"metadata": map[string]any{"name": "one", "namespace": "flux-system"}, "status": ready("False", "2 objects failed:\nfirst\nsecond", nil)},
		},
	}
	for args, want := range map[string]string{
		"get ks":         "2 objects failed:...\n",
		"get ks -o wide": " 2 objects failed: first; second\n",
	} {
		if code, out, said := weir(t, a, strings.Fields(args)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s ended with %d, printed %q and said %q; want %q", args, code, out, said, want)
		}
	}
}
