package verb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	imagename "github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/session"
)

// Variables of the environment that have what others can see if it is a flag.
const (
	helmVariable   = "HELM_PASSWORD"
	ociVariable    = "OCI_PASSWORD"
	proxyVariable  = "PROXY_PASSWORD"
	bucketVariable = "BUCKET_SECRET_KEY"
	tokenVariable  = "RECEIVER_TOKEN"
)

// secretOf makes a Secret.
func (c *creation) secretOf(name string, data map[string][]byte) (*corev1.Secret, error) {
	m, err := c.metadata(name)
	return &corev1.Secret{ObjectMeta: m, Type: corev1.SecretTypeOpaque, Data: data}, err
}

// secretCommand returns a command that makes a Secret of data.
func (c *creation) secretCommand(use, short, example string, data func(ctx context.Context) (map[string][]byte, error)) *cobra.Command {
	return c.command(use, short, example, func(ctx context.Context, name string) ([]client.Object, error) {
		content, err := data(ctx)
		if err != nil {
			return nil, err
		}
		secret, err := c.secretOf(name, content)
		return []client.Object{secret}, err
	})
}

// basicLogin is a user name and a password.
type basicLogin struct {
	username, password string
	variable           string // of the environment, which may have the password
}

func (b *basicLogin) bind(fs *pflag.FlagSet, variable string) {
	b.variable = variable
	fs.StringVarP(&b.username, "username", "u", "", "user name")
	fs.StringVarP(&b.password, "password", "p", "", "password; better in the variable "+variable+", or - to read it")
}

// data returns what a Secret has of it; nothing if there is none.
func (b *basicLogin) data(ctx context.Context, s *session.Session) (map[string][]byte, error) {
	switch {
	case b.username == "" && b.password == "":
		return nil, nil
	case b.username == "":
		return nil, errors.New("--username is missing")
	}
	password, err := s.Secret(ctx, b.password, b.variable, "password")
	return map[string][]byte{"username": []byte(b.username), "password": []byte(password.Reveal())}, err
}

// merged returns what all of the parts have.
func merged(parts ...map[string][]byte) map[string][]byte {
	out := make(map[string][]byte)
	for _, part := range parts {
		maps.Copy(out, part)
	}
	return out
}

// tlsFiles names files of certificates. There are two words for each.
type tlsFiles struct{ cert, key, ca string }

func (t *tlsFiles) bind(fs *pflag.FlagSet) {
	fs.StringVar(&t.cert, "tls-crt-file", "", "file of the certificate to log in with")
	fs.StringVar(&t.key, "tls-key-file", "", "file of the key of that certificate")
	fs.StringVar(&t.ca, "ca-crt-file", "", "file of the authority that has signed the certificate of the server")
	t.bindOld(fs)
	for flag, now := range map[string]string{"cert-file": "tls-crt-file", "key-file": "tls-key-file", "ca-file": "ca-crt-file"} {
		fs.Lookup(flag).Deprecated = "use --" + now
	}
}

func (t *tlsFiles) bindOld(fs *pflag.FlagSet) {
	fs.StringVar(&t.cert, "cert-file", "", "file of the certificate to log in with")
	fs.StringVar(&t.key, "key-file", "", "file of the key of that certificate")
	fs.StringVar(&t.ca, "ca-file", "", "file of the authority that has signed the certificate of the server")
}

// data reads the files.
func (t *tlsFiles) data() (map[string][]byte, error) {
	if (t.cert == "") != (t.key == "") {
		return nil, errors.New("a certificate and its key belong together: name both files")
	}
	out := make(map[string][]byte)
	for _, f := range []struct{ key, flag, path string }{
		{"tls.crt", "--tls-crt-file", t.cert}, {"tls.key", "--tls-key-file", t.key}, {"ca.crt", "--ca-crt-file", t.ca},
	} {
		if f.path == "" {
			continue
		}
		content, err := readFile(f.flag, f.path)
		if err != nil {
			return nil, err
		}
		out[f.key] = content
	}
	return out, nil
}

func newCreateSecretTLS(c *creation) *cobra.Command {
	t := &tlsFiles{}
	cmd := c.secretCommand("tls", "Create a Secret of certificates", `  weir create secret tls certs --tls-crt-file=./client.crt --tls-key-file=./client.key --ca-crt-file=./ca.crt --export`,
		func(context.Context) (map[string][]byte, error) {
			data, err := t.data()
			if err == nil && len(data) == 0 {
				err = errors.New("there is nothing to put into the Secret: name files by --tls-crt-file and --tls-key-file, or by --ca-crt-file")
			}
			return data, err
		})
	t.bind(cmd.Flags())
	return cmd
}

func newCreateSecretHelm(c *creation) *cobra.Command {
	var basic basicLogin
	t := &tlsFiles{}
	cmd := c.secretCommand("helm", "Create a Secret for a HelmRepository", `  HELM_PASSWORD=… weir create secret helm charts --username=ann --export`,
		func(ctx context.Context) (map[string][]byte, error) {
			login, err := basic.data(ctx, c.Session)
			if err != nil {
				return nil, err
			}
			files, err := t.data()
			if err == nil && len(login)+len(files) == 0 {
				err = errors.New("there is nothing to put into the Secret: use --username and --password")
			}
			return merged(login, files), err
		})
	basic.bind(cmd.Flags(), helmVariable)
	t.bind(cmd.Flags())
	return cmd
}

func newCreateSecretProxy(c *creation) *cobra.Command {
	var address string
	var basic basicLogin
	cmd := c.secretCommand("proxy", "Create a Secret with the address of a proxy", `  PROXY_PASSWORD=… weir create secret proxy egress --address=https://proxy.example.com:3128 --username=ann`,
		func(ctx context.Context) (map[string][]byte, error) {
			if err := needed(flagValue{"address", address}); err != nil {
				return nil, err
			}
			u, err := url.Parse(address)
			if err != nil || u.Hostname() == "" || u.User != nil {
				return nil, errors.New("--address is the URL of a proxy, without a user: http, https or socks5")
			}
			if err := oneOf("address", u.Scheme, "http", "https", "socks5"); err != nil {
				return nil, err
			}
			login, err := basic.data(ctx, c.Session)
			return merged(login, map[string][]byte{"address": []byte(address)}), err
		})
	cmd.Flags().StringVar(&address, "address", "", "URL of the proxy")
	basic.bind(cmd.Flags(), proxyVariable)
	return cmd
}

func newCreateSecretNotation(c *creation) *cobra.Command {
	var policy string
	var authorities []string
	cmd := c.secretCommand("notation", "Create a Secret of what notation trusts", `  weir create secret notation trusted --trust-policy-file=./trustpolicy.json --ca-cert-file=./ca.crt`,
		func(context.Context) (map[string][]byte, error) {
			if err := needed(flagValue{"trust-policy-file", policy}, flagValue{"ca-cert-file", strings.Join(authorities, "")}); err != nil {
				return nil, err
			}
			content, err := readFile("--trust-policy-file", policy)
			if err != nil {
				return nil, err
			}
			if !json.Valid(content) {
				return nil, fmt.Errorf("--trust-policy-file: %s is no JSON", policy)
			}
			data := map[string][]byte{"trustpolicy.json": content}
			for _, path := range authorities {
				key := path[strings.LastIndexAny(path, `/\`)+1:]
				if !strings.HasSuffix(key, ".crt") && !strings.HasSuffix(key, ".pem") {
					return nil, fmt.Errorf("--ca-cert-file: %s is no file .crt or .pem", path)
				}
				if _, twice := data[key]; twice {
					return nil, fmt.Errorf("--ca-cert-file: two files are called %s", key)
				}
				if data[key], err = readFile("--ca-cert-file", path); err != nil {
					return nil, err
				}
			}
			return data, nil
		})
	cmd.Flags().StringVar(&policy, "trust-policy-file", "", "file of the trust policy")
	cmd.Flags().StringSliceVar(&authorities, "ca-cert-file", nil, "files of certificates of authorities, .crt or .pem")
	return cmd
}

func newCreateSecretGitHubApp(c *creation) *cobra.Command {
	var id, owner, installation, keyFile, baseURL string
	cmd := c.secretCommand("githubapp", "Create a Secret of a GitHub App", `  weir create secret githubapp app --app-id=1 --app-installation-id=2 --app-private-key=./app.pem`,
		func(context.Context) (map[string][]byte, error) {
			if err := needed(flagValue{"app-id", id}, flagValue{"app-private-key", keyFile}); err != nil {
				return nil, err
			}
			if (owner == "") == (installation == "") {
				return nil, errors.New("one of --app-installation-owner and --app-installation-id is needed")
			}
			key, err := readFile("--app-private-key", keyFile)
			if err != nil {
				return nil, err
			}
			data := map[string][]byte{"githubAppID": []byte(id), "githubAppPrivateKey": key}
			for name, value := range map[string]string{
				"githubAppInstallationOwner": owner, "githubAppInstallationID": installation, "githubAppBaseURL": baseURL,
			} {
				if value != "" {
					data[name] = []byte(value)
				}
			}
			return data, nil
		})
	fs := cmd.Flags()
	fs.StringVar(&id, "app-id", "", "ID of the app")
	fs.StringVar(&owner, "app-installation-owner", "", "user or organisation that the app is installed in")
	fs.StringVar(&installation, "app-installation-id", "", "ID of the installation of the app")
	fs.StringVar(&keyFile, "app-private-key", "", "file of the private key of the app")
	fs.StringVar(&baseURL, "app-base-url", "", "URL of the API of an own server")
	return cmd
}

func newCreateSecretOCI(c *creation) *cobra.Command {
	var where string
	var basic basicLogin
	cmd := c.command("oci", "Create a Secret for a registry", `  OCI_PASSWORD=… weir create secret oci registry-auth --url=registry.example.com --username=ann --export`,
		func(ctx context.Context, secretName string) ([]client.Object, error) {
			if err := needed(flagValue{"url", where}, flagValue{"username", basic.username}); err != nil {
				return nil, err
			}
			login, err := basic.data(ctx, c.Session)
			if err != nil {
				return nil, err
			}
			config, err := dockerConfig(where, string(login["username"]), string(login["password"]))
			if err != nil {
				return nil, err
			}
			secret, err := c.secretOf(secretName, map[string][]byte{corev1.DockerConfigJsonKey: config})
			secret.Type = corev1.SecretTypeDockerConfigJson
			return []client.Object{secret}, err
		})
	cmd.Flags().StringVar(&where, "url", "", "host of the registry, or a repository of it")
	basic.bind(cmd.Flags(), ociVariable)
	return cmd
}

// dockerConfig returns the login to the registry of a URL as Docker has it in its file.
func dockerConfig(where, username, password string) ([]byte, error) {
	where = strings.TrimPrefix(where, "oci://")
	registry, err := imagename.NewRegistry(where)
	if strings.Contains(where, "/") {
		var repository imagename.Repository
		repository, err = imagename.NewRepository(where)
		registry = repository.Registry
	}
	if err != nil {
		return nil, session.Hint(errors.New("--url is not the host of a registry"), "for example --url=registry.example.com")
	}
	login := map[string]any{"username": username, "password": password, "auth": []byte(username + ":" + password)} // in base64
	return json.Marshal(map[string]any{"auths": map[string]any{registry.Name(): login}})
}
