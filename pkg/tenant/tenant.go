package tenant

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/transport"
)

// maxKubeconfig bounds the size of a kubeconfig.
const maxKubeconfig = 1 << 20

// User returns the name by which the API server knows a ServiceAccount; "" of none.
func User(namespace, serviceAccount string) string {
	if serviceAccount == "" {
		return ""
	}
	return "system:serviceaccount:" + namespace + ":" + serviceAccount
}

// as returns a client whose requests are those of a user; "" changes nothing.
func as(hc *http.Client, user string) *http.Client {
	if user == "" {
		return hc
	}
	return &http.Client{
		Transport: transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{UserName: user}, hc.Transport),
		Timeout:   hc.Timeout,
	}
}

// Kubeconfigs say what kubeconfigs of tenants may do. The zero value is safe.
type Kubeconfigs struct {
	Exec        bool // let them name a program to run for credentials
	InsecureTLS bool // let them turn off the verification of the server
}

// Parse reads a kubeconfig that has all it needs inside. What it may not do is left
// out; that it names files of this machine is an error. No error has what it holds.
func (k Kubeconfigs) Parse(data []byte) (*rest.Config, error) {
	if len(data) > maxKubeconfig {
		return nil, fmt.Errorf("kubeconfig has %d bytes: more than %d are not read", len(data), maxKubeconfig)
	}
	loaded, err := clientcmd.Load(data)
	if err != nil {
		return nil, errors.New("kubeconfig cannot be read: it is no YAML of kind Config") // the error repeats what it read
	}
	if err := selfContained(loaded); err != nil {
		return nil, err
	}
	in, err := clientcmd.NewDefaultClientConfig(*loaded, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if u, err := url.Parse(in.Host); err != nil || u.Host == "" {
		return nil, errors.New("kubeconfig: the server of its current context is no URL")
	}
	return k.keep(in), nil
}

// keep returns as much of a configuration as is allowed.
func (k Kubeconfigs) keep(in *rest.Config) *rest.Config {
	out := &rest.Config{
		Host: in.Host, APIPath: in.APIPath, Proxy: in.Proxy,
		BearerToken: in.BearerToken, Username: in.Username, Password: in.Password, Impersonate: in.Impersonate,
		TLSClientConfig: in.TLSClientConfig,
	}
	if !k.InsecureTLS {
		out.Insecure = false
	}
	if k.Exec && in.ExecProvider != nil {
		out.ExecProvider = in.ExecProvider
		out.ExecProvider.InteractiveMode = clientcmdapi.NeverExecInteractiveMode
	}
	return out
}

// selfContained refuses a kubeconfig that would have us read files of this machine.
func selfContained(c *clientcmdapi.Config) error {
	for name, cluster := range c.Clusters {
		if cluster.CertificateAuthority != "" {
			return fmt.Errorf("kubeconfig: cluster %q names a file: use certificate-authority-data", name)
		}
	}
	for name, user := range c.AuthInfos {
		switch {
		case user.TokenFile != "":
			return fmt.Errorf("kubeconfig: user %q names a file: use token", name)
		case user.ClientCertificate != "":
			return fmt.Errorf("kubeconfig: user %q names a file: use client-certificate-data", name)
		case user.ClientKey != "":
			return fmt.Errorf("kubeconfig: user %q names a file: use client-key-data", name)
		}
	}
	return nil
}
