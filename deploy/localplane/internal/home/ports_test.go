package home_test

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/localplane/internal/home"
)

func TestPortsStay(t *testing.T) {
	dir := claim(t, t.TempDir())
	first := ports(t, dir)
	distinct := make(map[int]bool)
	for _, p := range []int{first.APIServer, first.Etcd, first.EtcdPeer, first.ControllerManager, first.Scheduler} {
		distinct[p] = true
	}
	if len(distinct) != 5 || distinct[0] {
		t.Fatalf("ports are %+v; want five different ones", first)
	}
	if diff := cmp.Diff(first, ports(t, dir)); diff != "" {
		t.Errorf("ports changed, so kubeconfigs handed out before are worth nothing (-first +second):\n%s", diff)
	}
}

func TestPortsThatAreTaken(t *testing.T) {
	dir := claim(t, t.TempDir())
	first := ports(t, dir)
	l, err := net.Listen("tcp", home.Loopback(first.Scheduler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	second := ports(t, dir)
	if second.Scheduler == first.Scheduler {
		t.Error("a port was chosen on which somebody listens")
	}
	second.Scheduler = first.Scheduler
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("ports changed that were free (-first +second):\n%s", diff)
	}
}

func ports(t *testing.T, dir home.Dir) home.Ports {
	t.Helper()
	p, err := dir.Ports()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
