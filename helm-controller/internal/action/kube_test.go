package action

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPanicsAreErrors: a client that does not even exist ends no process, whoever calls it.
func TestPanicsAreErrors(t *testing.T) {
	t.Parallel()
	c := &kubeClient{}
	calls := map[string]func() error{
		"Build":           func() error { _, err := c.Build(strings.NewReader("a: 1"), true); return err },
		"Create":          func() error { _, err := c.Create(nil); return err },
		"Wait":            func() error { return c.Wait(nil, 0) },
		"WaitWithJobs":    func() error { return c.WaitWithJobs(nil, 0) },
		"WatchUntilReady": func() error { return c.WatchUntilReady(nil, 0) },
		"WaitForDelete":   func() error { return c.WaitForDelete(nil, 0) },
		"Update":          func() error { return updated(c.Update(nil, nil, false)) },
		"three-way":       func() error { return updated(c.UpdateThreeWayMerge(nil, nil, false)) },
		"Delete":          func() error { return first(c.Delete(nil)) },
		"DeleteWith":      func() error { return first(c.DeleteWithPropagationPolicy(nil, metav1.DeletePropagationOrphan)) },
	}
	for name, call := range calls {
		if err := call(); err == nil || !strings.Contains(err.Error(), "panic") {
			t.Errorf("%s returned %v", name, err)
		}
	}
	if len(c.deletions) != 2 {
		t.Errorf("remembered %v", c.deletions)
	}
}

// updated returns the error, if there is the result that the SDK looks into.
func updated(res *kube.Result, err error) error {
	if res == nil {
		return nil
	}
	return err
}

func first(_ *kube.Result, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// TestPanicsOfTheStorageAreErrors: the SDK stores releases from goroutines of its own.
func TestPanicsOfTheStorageAreErrors(t *testing.T) {
	t.Parallel()
	r := recorder{of: &deed{ctx: t.Context()}} // of a storage that does not even exist
	calls := map[string]func() error{
		"Get":    func() error { _, err := r.Get("k"); return err },
		"List":   func() error { _, err := r.List(nil); return err },
		"Query":  func() error { _, err := r.Query(nil); return err },
		"Create": func() error { return r.Create("k", nil) },
		"Update": func() error { return r.Update("k", nil) },
		"Delete": func() error { _, err := r.Delete("k"); return err },
	}
	for name, call := range calls {
		if err := call(); err == nil || !strings.Contains(err.Error(), "panic") {
			t.Errorf("%s returned %v", name, err)
		}
	}
}
