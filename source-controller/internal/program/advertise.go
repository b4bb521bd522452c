package program

import (
	"cmp"
	"net"
	"strings"
)

// advertise returns the beginning of the URLs of artifacts. Without a host that
// consumers were promised, it is that of the machine; a port that was left open is
// the one in use.
func advertise(advertised, asked string, inUse net.Addr, hostname string) string {
	if strings.HasPrefix(advertised, "http://") || strings.HasPrefix(advertised, "https://") {
		return strings.TrimSuffix(advertised, "/")
	}
	if advertised != "" {
		return "http://" + advertised
	}
	host, _, err := net.SplitHostPort(asked)
	if err != nil {
		host = ""
	}
	switch host {
	case "":
		host = "localhost"
	case "0.0.0.0", "::":
		host = cmp.Or(hostname, "localhost")
	}
	_, port, err := net.SplitHostPort(inUse.String())
	if err != nil {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, port)
}
