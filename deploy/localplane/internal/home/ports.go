package home

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports are chosen below those that systems give to outgoing connections, so that
// a plane that was stopped finds its own free again.
const (
	firstPort = 20000
	lastPort  = 32000
	portTries = 200
)

// Ports are where the components listen, on the loopback interface.
type Ports struct {
	APIServer         int `json:"apiServer"`
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
}

// Ports returns those of the last start as far as they are free, so that
// kubeconfigs handed out before keep working, and other free ones otherwise.
func (d Dir) Ports() (Ports, error) {
	path := d.file("ports.json")
	var p Ports
	if data, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(data, &p); err != nil {
			p = Ports{} // as if never chosen
		}
	}
	if err := p.complete(free); err != nil {
		return Ports{}, err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return Ports{}, fmt.Errorf("encoding ports: %w", err)
	}
	return p, Write(path, data)
}

// complete replaces the ports that are not usable, and those chosen twice.
func (p *Ports) complete(usable func(port int) bool) error {
	taken := make(map[int]bool)
	for _, port := range []*int{&p.APIServer, &p.Etcd, &p.EtcdPeer, &p.ControllerManager, &p.Scheduler} {
		for tries := 0; *port == 0 || taken[*port] || !usable(*port); tries++ {
			if tries == portTries {
				return fmt.Errorf("looking for a free port on 127.0.0.1 between %d and %d: %d tries failed", firstPort, lastPort, tries)
			}
			*port = firstPort + rand.IntN(lastPort-firstPort)
		}
		taken[*port] = true
	}
	return nil
}

// Loopback returns the address of a port.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func free(port int) bool {
	l, err := net.Listen("tcp", Loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
