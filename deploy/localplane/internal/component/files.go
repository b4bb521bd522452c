package component

import (
	"fmt"
	"strings"
	"time"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/kubeconfig"
	"weir.dev/deploy/localplane/internal/pki"
)

// Names of keys and certificates. A client of etcd may do everything there, and a
// front proxy may speak for everyone, so neither must be of the authority that
// signs what users ask for in a CertificateSigningRequest.
const (
	clusterCA  = "ca"
	etcdCA     = "etcd-ca"
	proxyCA    = "front-proxy-ca"
	serverPair = "server"
	adminPair  = "admin"
	etcdServer = "etcd-server"
	etcdClient = "etcd-client"
	proxyPair  = "front-proxy"
	tokenKey   = "service-account"
)

const (
	serviceRange = "10.96.0.0/16"
	firstService = "10.96.0.1" // of the Service "kubernetes"
	podRange     = "10.244.0.0/16"
)

// authorities are who signs whose certificate.
func authorities() map[string][]pki.Identity {
	loopback := []string{"127.0.0.1", "localhost"}
	return map[string][]pki.Identity{
		clusterCA: {
			{Name: serverPair, User: "localplane", Hosts: append(loopback, firstService,
				"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")},
			{Name: adminPair, User: "kubernetes-admin", Groups: []string{"system:masters"}},
			{Name: ControllerManager, User: "system:kube-controller-manager"},
			{Name: Scheduler, User: "system:kube-scheduler"},
			// It stands for all kubelets at once, which no role does.
			{Name: Kwok, User: "kwok", Groups: []string{"system:masters"}},
		},
		etcdCA: {
			{Name: etcdServer, User: "etcd", Hosts: loopback},
			{Name: etcdClient, User: APIServer},
		},
		proxyCA: {{Name: proxyPair, User: "front-proxy-client"}},
	}
}

// Prepare writes the files that the components read, and the kubeconfig of users.
func (s Setting) Prepare(now time.Time) error {
	keys := pki.Folder{Dir: s.Home.PKI(), Now: now}
	for name, identities := range authorities() {
		authority, err := keys.Authority(name)
		if err != nil {
			return fmt.Errorf("%w; if nothing in the plane is needed, `localplane down --delete` and begin anew", err)
		}
		for _, id := range identities {
			if err := authority.Ensure(id); err != nil {
				return err
			}
		}
	}
	if err := keys.SigningKey(tokenKey); err != nil {
		return err
	}
	if err := home.Write(s.stages(), []byte(stages())); err != nil {
		return err
	}
	for pair, path := range map[string]string{
		adminPair:         s.Home.Kubeconfig(),
		ControllerManager: s.kubeconfig(ControllerManager),
		Scheduler:         s.kubeconfig(Scheduler),
		Kwok:              s.kubeconfig(Kwok),
	} {
		if err := kubeconfig.Write(path, s.Ports.APIServer, keys.Files(clusterCA).Cert, keys.Files(pair)); err != nil {
			return err
		}
	}
	return nil
}

// stages are the lives of Nodes and Pods that kwok simulates: Nodes are ready at
// once and stay so, Pods run at once, those of Jobs complete at once.
func stages() string {
	return strings.Join([]string{
		nodefast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
	}, "\n---\n")
}

func (s Setting) stages() string { return s.Home.Config("stages.yaml") }

func (s Setting) kubeconfig(name string) string { return s.Home.Config(name + ".kubeconfig") }
