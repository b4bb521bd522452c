package component

import (
	"fmt"
	"strconv"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/pki"
)

// Setting is what the components of one plane are told.
type Setting struct {
	Home  home.Dir
	Ports home.Ports
	Fsync bool // have etcd wait for the disk
}

// Args returns the arguments of a component, those included by which this binary
// becomes it.
func (s Setting) Args(name string) []string {
	args := []string{Verb, name}
	switch name {
	case Etcd:
		return append(args, s.etcd()...)
	case APIServer:
		return append(args, s.apiServer()...)
	case ControllerManager:
		return append(args, s.controllerManager()...)
	case Scheduler:
		return append(args, s.controller(Scheduler, s.Ports.Scheduler)...)
	case Kwok:
		return append(args, s.kwok()...)
	default:
		return args
	}
}

// etcd is the one component whose flags are ours, see the package program.
func (s Setting) etcd() []string {
	server := s.pair(etcdServer)
	return []string{
		"--data-dir=" + s.Home.Data(),
		"--client=" + s.etcdURL(),
		"--peer=https://" + home.Loopback(s.Ports.EtcdPeer),
		"--ca=" + s.pair(etcdCA).Cert,
		"--cert=" + server.Cert,
		"--key=" + server.Key,
		fmt.Sprintf("--fsync=%t", s.Fsync),
	}
}

func (s Setting) apiServer() []string {
	server, etcd, proxy := s.pair(serverPair), s.pair(etcdClient), s.pair(proxyPair)
	return []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(s.Ports.APIServer),
		"--advertise-address=127.0.0.1",
		// No Endpoints: they must not be of the loopback interface.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceRange,

		"--etcd-servers=" + s.etcdURL(),
		"--etcd-cafile=" + s.pair(etcdCA).Cert,
		"--etcd-certfile=" + etcd.Cert,
		"--etcd-keyfile=" + etcd.Key,

		"--tls-cert-file=" + server.Cert,
		"--tls-private-key-file=" + server.Key,
		"--client-ca-file=" + s.pair(clusterCA).Cert,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + s.tokens().Cert,
		"--service-account-signing-key-file=" + s.tokens().Key,

		"--requestheader-client-ca-file=" + s.pair(proxyCA).Cert,
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + proxy.Cert,
		"--proxy-client-key-file=" + proxy.Key,

		"--profiling=true",                  // for cluster admins; the benchmark shows where its time goes
		"--etcd-count-metric-poll-period=0", // counts every object every minute, for a metric
	}
}

func (s Setting) controllerManager() []string {
	ca := s.pair(clusterCA)
	return append(s.controller(ControllerManager, s.Ports.ControllerManager),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+s.tokens().Key,
		"--root-ca-file="+ca.Cert,
		"--cluster-signing-cert-file="+ca.Cert,
		"--cluster-signing-key-file="+ca.Key,
	)
}

// controller is what the controller manager and the scheduler are both told.
func (s Setting) controller(name string, port int) []string {
	server, config := s.pair(serverPair), s.kubeconfig(name)
	return []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + server.Cert,
		"--tls-private-key-file=" + server.Key,
		"--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config,
		"--authorization-kubeconfig=" + config,
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		"--leader-elect=false", // there is no other
		"--profiling=false",
	}
}

func (s Setting) kwok() []string {
	return []string{
		"--kubeconfig=" + s.kubeconfig(Kwok),
		"--config=" + s.stages(),
		"--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector=" + SimulatedKey + "=" + SimulatedValue,
		"--node-lease-duration-seconds=40",
		"--cidr=" + podRange,
	}
}

// A Node with this annotation is simulated.
const (
	SimulatedKey   = "kwok.x-k8s.io/node"
	SimulatedValue = "fake"
)

func (s Setting) etcdURL() string { return "https://" + home.Loopback(s.Ports.Etcd) }

func (s Setting) pair(name string) pki.Files { return pki.Folder{Dir: s.Home.PKI()}.Files(name) }

func (s Setting) tokens() pki.Files { return pki.Folder{Dir: s.Home.PKI()}.SigningFiles(tokenKey) }

// HealthURLs returns where components tell whether they work.
func (s Setting) HealthURLs() map[string]string {
	return map[string]string{
		APIServer:         "https://" + home.Loopback(s.Ports.APIServer) + "/readyz",
		ControllerManager: "https://" + home.Loopback(s.Ports.ControllerManager) + "/healthz",
		Scheduler:         "https://" + home.Loopback(s.Ports.Scheduler) + "/readyz",
	}
}
