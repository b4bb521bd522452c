package fetch

import (
	"cmp"
	"net/url"
	"strings"
)

// Localhost returns a function for Options.Rewrite by which artifacts are reached from
// outside of a cluster: at the host that controller is, or watcher for what the source-watcher
// serves. Where a host is empty, the artifacts are reached where they say.
func Localhost(controller, watcher string) func(*url.URL) {
	return func(u *url.URL) {
		host := controller
		if strings.HasPrefix(u.Host, "source-watcher.") {
			host = watcher
		}
		u.Host = cmp.Or(host, u.Host)
	}
}
