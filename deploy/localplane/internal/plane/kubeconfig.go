package plane

import (
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"weir.dev/deploy/localplane/internal/pki"
)

// writeKubeconfig writes how an identity reaches the API server. The keys are in
// it, so that it can be copied elsewhere.
func writeKubeconfig(l layout, p ports, path, identity string) error {
	files := pki.In(l.pki(), identity)
	var parts [3][]byte
	for i, name := range []string{pki.In(l.pki(), "ca").Cert, files.Cert, files.Key} {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parts[i] = data
	}
	const name = "localplane"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: fmt.Sprintf("https://127.0.0.1:%d", p.APIServer), CertificateAuthorityData: parts[0]}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: parts[1], ClientKeyData: parts[2]}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	cfg.CurrentContext = name
	return clientcmd.WriteToFile(*cfg, path)
}

// connect returns a client by the admin kubeconfig.
func connect(l layout) (kubernetes.Interface, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig())
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(cfg)
}
