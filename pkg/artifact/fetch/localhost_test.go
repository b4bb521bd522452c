package fetch_test

import (
	"net/url"
	"testing"

	"weir.dev/pkg/artifact/fetch"
)

func TestLocalhost(t *testing.T) {
	t.Parallel()
	const source, external = "source-controller.flux-system.svc.cluster.local.", "source-watcher.flux-system.svc.cluster.local."
	const controller, watcher = "127.0.0.1:9090", "127.0.0.1:9191"
	for name, tc := range map[string]struct {
		controller, watcher string
		host, want          string
	}{
		"nothing is asked":        {host: source, want: source},
		"of a source":             {controller: controller, watcher: watcher, host: source, want: controller},
		"of an external artifact": {controller: controller, watcher: watcher, host: external, want: watcher},
	} {
		for _, path := range []string{"/gitrepository/a/b/c.tar.gz", "/helmchart/a/b/c.tgz"} {
			u := &url.URL{Scheme: "http", Host: tc.host, Path: path}
			fetch.Localhost(tc.controller, tc.watcher)(u)
			if want := "http://" + tc.want + path; u.String() != want {
				t.Errorf("%s: the URL is %s; want %s", name, u, want)
			}
		}
	}
}
