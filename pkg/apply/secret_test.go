package apply_test

import (
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/apply"
)

// The API server repeats values that it refuses. Those of Secrets must not get
// into an error, which becomes a condition and an event.
func TestErrorsTellNoSecrets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why string
		in  string
	}{
		"a number":                     {why: "the user forgot the quotes", in: "stringData: {password: 31415926}"},
		"no base64":                    {why: "the user forgot to encode it", in: "data: {password: '31415926!'}"},
		"no JSON":                      {why: "the type asks for it", in: "type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '31415926'}"},
		"as a key":                     {why: "the user mixed them up; keys are told, values not", in: "stringData: {'no/key': '31415926'}"},
		"with another mistake":         {why: "the whole object may be repeated", in: "stringData: {password: '31415926'}, type: kubernetes.io/ssh-auth"},
		"in a field that does not fit": {why: "the whole object may be repeated", in: "stringData: {password: '31415926'}, immutable: nonsense"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			secret := c.read("{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, " + tc.in + "}")[0]
			before := c.read("{apiVersion: v1, kind: Secret, metadata: {name: b, namespace: NS}, " + tc.in + "}")[0]
			for _, err := range []string{
				c.refused(apply.Request{}, secret), c.refused(apply.Request{}, before, secret), // by the write, by the dry run
			} {
				if strings.Contains(err, "31415926") || !strings.HasPrefix(err, "Secret/NS/") {
					t.Errorf("Apply() fails by %s (%s)", err, tc.why)
				}
			}
		})
	}
}

// A takeover that is refused may repeat all of the live Secret, which is not in the
// source.
func TestRefusedTakeoverTellsNoSecret(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const secret = "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, stringData: {password: from-git}}"
	c.created("kubectl-create", strings.Replace(secret, "from-git", "'31415926'", 1))
	c.before = func(req *http.Request) error {
		if req.Header.Get("Content-Type") == string(types.JSONPatchType) {
			return apierrors.NewBadRequest(`"a" is invalid: patch: Invalid value: {"data":{"password":"31415926"}}`)
		}
		return nil
	}
	if err := c.refused(apply.Request{}, c.read(secret)...); err != "Secret/NS/a apply failed (BadRequest): its metadata cannot be changed (BadRequest)" {
		t.Errorf("Apply() fails by %s", err)
	}
}
