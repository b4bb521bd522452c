package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/health"
)

const (
	// checkEvery is how often Helm 3 looks at what it waits for. Its rules need more than
	// the objects themselves, so that a watch of these would not tell enough.
	checkEvery = 2 * time.Second
	// maxFaults bounds how often in a row a look at an object may fail for reasons that
	// may pass.
	maxFaults = 30
)

// waitLegacy waits until objects are ready by the rules of Helm 3.
func (c *Client) waitLegacy(resources kube.ResourceList, timeout time.Duration, jobs bool) error {
	clients, err := c.conn.typed()
	if err != nil {
		return err
	}
	checker := kube.NewReadyChecker(clients, c.opts.Log, kube.PausedAsReady(true), kube.CheckJobs(jobs))
	l := legacy{is: func(info *resource.Info) (bool, error) { return checker.IsReady(c.ctx, info) }, faults: make(map[*resource.Info]int)}
	for _, info := range resources {
		looked := *info
		if !served(info) || c.isSelf(info) {
			continue
		}
		if looked.Client, err = c.conn.client(info.Mapping.GroupVersionKind.GroupVersion()); err != nil {
			return err
		}
		l.all = append(l.all, &looked)
	}
	l.open = l.all
	c.logf("waiting up to %s for %d object(s) by the rules of Helm 3", seconds(timeout), len(l.all))
	return c.pollLegacy(&l, timeout)
}

func (c *Client) pollLegacy(l *legacy, timeout time.Duration) error {
	if ready, err := l.look(); ready || err != nil {
		return err
	}
	defer c.lend()()
	timer, tick := time.NewTimer(timeout), time.NewTicker(checkEvery)
	defer timer.Stop()
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return c.interrupted()
		case <-c.opts.Newer:
			return ErrNewer
		case <-timer.C:
			return fmt.Errorf("not ready after %s: %s", seconds(timeout), c.unready(l.rest()))
		case <-tick.C:
		}
		switch ready, err := l.look(); {
		case c.ctx.Err() != nil:
			return c.interrupted()
		case ready || err != nil:
			return err
		}
	}
}

// legacy is a wait by the rules of Helm 3.
type legacy struct {
	is     func(*resource.Info) (bool, error)
	all    kube.ResourceList
	open   kube.ResourceList // those that were not ready when they were last looked at
	faults map[*resource.Info]int
}

// look looks at what is not ready, up to the first that still is not. When none is left,
// it looks at all once more: what was ready may not be so any longer.
func (l *legacy) look() (bool, error) {
	for again := len(l.open) < len(l.all); ; again = false {
		for len(l.open) > 0 {
			ready, err := l.check(l.open[0])
			if !ready || err != nil {
				return false, err
			}
			l.open = l.open[1:]
		}
		if !again {
			return true, nil
		}
		l.open = l.all
	}
}

// check looks at one object. It fails if there is no use in looking again.
func (l *legacy) check(info *resource.Info) (bool, error) {
	ready, err := l.is(info)
	if err == nil {
		l.faults[info] = 0
		return ready, nil
	}
	l.faults[info]++
	if !passing(err) || l.faults[info] > maxFaults {
		return false, fmt.Errorf("%s: %w", idOf(info), err)
	}
	return false, nil
}

// passing reports whether an error may not come again: one of the connection, or one by
// which the API server says that it is not up to it now.
func passing(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return !strings.HasPrefix(err.Error(), "job is failed") // which has no type, and stays so
	}
	code := status.Status().Code
	return code == 0 || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError && code != http.StatusNotImplemented
}

// rest returns what is not ready of what is not known to be.
func (l *legacy) rest() kube.ResourceList {
	return l.open.Filter(func(info *resource.Info) bool {
		ready, err := l.is(info)
		return !ready || err != nil
	})
}

// unready names objects that are not ready, and says what is wrong with the Pods of the
// first of them.
func (c *Client) unready(open kube.ResourceList) string {
	verdicts := make([]health.Verdict, 0, len(open))
	for _, info := range open {
		verdicts = append(verdicts, health.Verdict{ID: idOf(info), Status: health.InProgress})
	}
	return list(c.at.Lone.Explained(c.ctx, verdicts))
}
