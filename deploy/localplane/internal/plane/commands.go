package plane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	"sigs.k8s.io/kwok/kustomize/stage/node/heartbeat"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"

	"weir.dev/deploy/localplane/internal/component"
	"weir.dev/deploy/localplane/internal/pki"
)

const (
	serviceRange = "10.96.0.0/16"
	firstService = "10.96.0.1" // that of the Service kubernetes
	// NodeName is the simulated node.
	nodeName = "node-1"
)

// identities are who takes part in a plane.
func identities() []pki.Identity {
	return []pki.Identity{
		{Name: "server", User: "localplane", Hosts: []string{"127.0.0.1", "localhost", firstService, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{Name: "admin", User: "kubernetes-admin", Groups: []string{"system:masters"}},
		{Name: component.ControllerManager, User: "system:kube-controller-manager"},
		{Name: component.Scheduler, User: "system:kube-scheduler"},
		{Name: component.Kwok, User: "kwok", Groups: []string{"system:masters"}},
		{Name: "proxy", User: "front-proxy"},
	}
}

// command is how a component is started.
type command struct {
	name string
	args []string
}

// commands returns the components in the order in which they are started.
func commands(l layout, p ports, opts Options) []command {
	key := func(name string) pki.Files { return pki.In(l.pki(), name) }
	ca, server, proxy := key("ca").Cert, key("server"), key("proxy")
	etcd := fmt.Sprintf("https://127.0.0.1:%d", p.Etcd)
	serving := func(name string, port int) []string {
		config := l.file(name + ".kubeconfig")
		return []string{
			"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--leader-elect=false", "--profiling=false",
			"--tls-cert-file=" + server.Cert, "--tls-private-key-file=" + server.Key,
			"--kube-api-qps=300", "--kube-api-burst=600",
		}
	}
	return []command{
		{component.Etcd, []string{
			"--data-dir=" + l.etcd(), "--client-url=" + etcd, fmt.Sprintf("--peer-url=https://127.0.0.1:%d", p.EtcdPeer),
			"--ca=" + ca, "--cert=" + server.Cert, "--key=" + server.Key, fmt.Sprintf("--fsync=%t", opts.Fsync),
		}},
		{component.APIServer, []string{
			"--etcd-servers=" + etcd, "--etcd-cafile=" + ca, "--etcd-certfile=" + server.Cert, "--etcd-keyfile=" + server.Key,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.APIServer), "--advertise-address=127.0.0.1",
			"--endpoint-reconciler-type=none", "--service-cluster-ip-range=" + serviceRange,
			"--tls-cert-file=" + server.Cert, "--tls-private-key-file=" + server.Key, "--client-ca-file=" + ca,
			"--authorization-mode=Node,RBAC", "--profiling=false", "--allow-privileged",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + filepath.Join(l.pki(), "sa.pub"), "--service-account-signing-key-file=" + filepath.Join(l.pki(), "sa.key"),
			"--requestheader-client-ca-file=" + ca, "--requestheader-allowed-names=front-proxy",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + proxy.Cert, "--proxy-client-key-file=" + proxy.Key,
		}},
		{component.ControllerManager, append(serving(component.ControllerManager, p.ControllerManager),
			"--use-service-account-credentials=true", "--root-ca-file="+ca,
			"--service-account-private-key-file="+filepath.Join(l.pki(), "sa.key"),
			"--cluster-signing-cert-file="+ca, "--cluster-signing-key-file="+key("ca").Key,
		)},
		{component.Scheduler, serving(component.Scheduler, p.Scheduler)},
		{component.Kwok, []string{
			"--kubeconfig=" + l.file(component.Kwok+".kubeconfig"), "--config=" + l.file("stages.yaml"),
			"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--node-lease-duration-seconds=40",
		}},
	}
}

// prepare writes the files that the components read.
func prepare(l layout, p ports) error {
	if err := pki.Ensure(l.pki(), identities()); err != nil {
		return err
	}
	stages := strings.Join([]string{
		nodefast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeat,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
	}, "\n---\n")
	if err := os.WriteFile(l.file("stages.yaml"), []byte(stages), 0o600); err != nil {
		return err
	}
	for _, name := range []string{component.ControllerManager, component.Scheduler, component.Kwok} {
		if err := writeKubeconfig(l, p, l.file(name+".kubeconfig"), name); err != nil {
			return err
		}
	}
	return writeKubeconfig(l, p, l.kubeconfig(), "admin")
}
