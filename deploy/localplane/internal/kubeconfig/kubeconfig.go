// Package kubeconfig writes how an identity reaches the API server of a plane, and
// builds clients from it.
package kubeconfig

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/pki"
)

// entry is the name of the cluster, the user and the context in every file.
const entry = "localplane"

// Write writes the kubeconfig of an identity to path. The keys are in it, so that
// it can be copied elsewhere; the file is for its owner alone.
func Write(path string, port int, authority string, identity pki.Files) error {
	cluster := clientcmdapi.NewCluster()
	cluster.Server = "https://" + home.Loopback(port)
	user := clientcmdapi.NewAuthInfo()
	for file, into := range map[string]*[]byte{
		authority:     &cluster.CertificateAuthorityData,
		identity.Cert: &user.ClientCertificateData,
		identity.Key:  &user.ClientKeyData,
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("writing kubeconfig %q: %w", path, err)
		}
		*into = data
	}
	current := clientcmdapi.NewContext()
	current.Cluster, current.AuthInfo = entry, entry

	config := clientcmdapi.NewConfig()
	config.Clusters[entry], config.AuthInfos[entry], config.Contexts[entry] = cluster, user, current
	config.CurrentContext = entry
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding kubeconfig %q: %w", path, err)
	}
	return home.Write(path, data)
}

// Read returns how to reach the API server by the kubeconfig of path.
func Read(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %q: %w", path, err)
	}
	return config, nil
}
