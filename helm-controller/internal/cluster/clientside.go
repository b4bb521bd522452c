package cluster

import (
	"fmt"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/mask"
)

// nameManager has the SDK's own client write as the field manager that ours does. It knows
// one for the whole process.
var nameManager = sync.OnceFunc(func() { kube.ManagedFieldsManager = Manager })

// sdk returns the SDK's own client. It makes requests by those of the objects only.
func (c *Client) sdk(m mask.Mask) *kube.Client {
	nameManager()
	return &kube.Client{Log: func(format string, args ...any) { c.logf("%s", m.Text(fmt.Sprintf(format, args...))) }}
}

// createClientSide creates objects as Helm 3 does.
func (c *Client) createClientSide(resources kube.ResourceList) (*kube.Result, error) {
	if len(resources) == 0 {
		return &kube.Result{}, nil
	}
	m := maskOf(resources)
	res, err := c.sdk(m).Create(resources)
	if err != nil {
		return &kube.Result{}, c.plain(m, err)
	}
	for _, info := range res.Created {
		c.noteWritten(info, apply.Created)
	}
	return res, nil
}

// updateClientSide changes objects as Helm 3 does, by a three-way merge or, if forced, by
// replacing them. It deletes none. The result is never nil.
func (c *Client) updateClientSide(original, target kube.ResourceList, force, threeWay bool) (*kube.Result, error) {
	m := maskOf(target, original)
	sdk := c.sdk(m)
	update := sdk.Update
	if threeWay {
		update = sdk.UpdateThreeWayMerge
	}
	res, err := update(original.Intersect(target), target, force)
	if res == nil {
		res = &kube.Result{}
	}
	for _, info := range res.Created {
		c.noteWritten(info, apply.Created)
	}
	for _, info := range res.Updated {
		c.noteWritten(info, apply.Configured)
	}
	return res, c.plain(m, err)
}

// noteWritten remembers what was done to an object of the release, if anything was. The
// SDK takes for updated what it has looked at.
func (c *Client) noteWritten(info *resource.Info, effect apply.Effect) {
	c.at.Drift.Forget(idOf(info)) // it is not as server-side apply has left it
	if isHook(info) || effect == apply.Configured && !c.conn.sent.to(info) {
		return
	}
	c.note(apply.Change{ID: idOf(info), Effect: effect})
}

// to reports whether a write to the object of info was accepted.
func (s *sent) to(info *resource.Info) bool {
	suffix := info.Mapping.Resource.Resource + "/" + info.Name
	if info.Namespaced() {
		suffix = "namespaces/" + info.Namespace + "/" + suffix
	}
	suffix = "/" + info.Mapping.Resource.GroupVersion().String() + "/" + suffix
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.paths {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

// plain returns an error of the SDK's own client that says what can be done about it, and
// nothing of what is in Secrets.
func (c *Client) plain(m mask.Mask, err error) error {
	switch {
	case err == nil:
		return nil
	case c.ctx.Err() != nil:
		return c.interrupted()
	}
	return m.Error(advised(err))
}

// maskOf returns a mask of what is in the Secrets among objects.
func maskOf(lists ...kube.ResourceList) mask.Mask {
	var values []string
	for _, resources := range lists {
		for _, info := range resources {
			if obj, ok := info.Object.(*unstructured.Unstructured); ok && isSecret(obj) {
				values = append(values, mask.Secret(obj)...)
			}
		}
	}
	return mask.New(values...)
}
