package stack

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// accountLife is how long programs are known as a ServiceAccount: longer than anybody
// tries weir out.
const accountLife = 30 * 24 * 60 * 60 // seconds

// environment returns the variables of a container, by name.
func environment(c corev1.Container, namespace string) map[string]string {
	env := make(map[string]string)
	for _, v := range c.Env {
		from := v.ValueFrom
		switch {
		case from == nil:
			env[v.Name] = expand([]string{v.Value}, env)[0]
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			env[v.Name] = namespace
		case from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory":
			env[v.Name] = strconv.FormatInt(c.Resources.Limits.Memory().Value(), 10)
		}
	}
	return env
}

// expand puts the values of variables in the place of $(NAME). What names none stays; $$ is
// no escape, which our manifests do not have.
func expand(texts []string, env map[string]string) []string {
	var pairs []string
	for name, value := range env {
		pairs = append(pairs, "$("+name+")", value)
	}
	replace := strings.NewReplacer(pairs...)
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = replace.Replace(text)
	}
	return out
}

// accountKubeconfig writes a kubeconfig for a ServiceAccount into a folder, and returns its
// path.
func (s *Stack) accountKubeconfig(ctx context.Context, namespace, name, dir string) (string, error) {
	life := int64(accountLife)
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := s.Client.SubResource("token").Create(ctx, account, token); err != nil {
		return "", fmt.Errorf("asking for a token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["plane"] = &clientcmdapi.Cluster{Server: s.Config.Host, CertificateAuthorityData: s.Config.CAData, CertificateAuthority: s.Config.CAFile}
	cfg.AuthInfos["account"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	cfg.Contexts["plane"] = &clientcmdapi.Context{Cluster: "plane", AuthInfo: "account", Namespace: namespace}
	cfg.CurrentContext = "plane"
	path := filepath.Join(dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*cfg, path)
}
