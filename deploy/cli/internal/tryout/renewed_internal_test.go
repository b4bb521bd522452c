package tryout

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestRenewed(t *testing.T) {
	t.Parallel()
	began := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	lease := func(holder, at string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"holderIdentity": holder, "renewTime": at}}}
	}
	tests := map[string]struct {
		why  string
		in   *unstructured.Unstructured
		want bool
	}{
		"no lease":     {why: "nobody has started the controller"},
		"held before":  {why: "the one of the last time has not given it back", in: lease("a", "2030-01-01T11:59:59.999999Z")},
		"given back":   {why: "nobody holds it", in: lease("", "2030-01-01T12:00:01.000000Z")},
		"held":         {why: "the controller works", in: lease("a", "2030-01-01T12:00:01.000000Z"), want: true},
		"without time": {why: "it was never taken", in: lease("a", "")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := renewed(began)(tc.in)
			if v.Done != tc.want || v.Err != nil || !v.Done && v.Why == "" {
				t.Errorf("verdict %+v: %s", v, tc.why)
			}
		})
	}
}
