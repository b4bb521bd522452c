package azure

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"weir.dev/source-controller/internal/bucket/objects"
)

// Scope is what access tokens are for.
const Scope = "https://storage.azure.com/.default"

// Keys of a Secret with credentials.
const (
	keyTenant       = "tenantId"
	keyClient       = "clientId"
	keyClientSecret = "clientSecret"
	keyCertificate  = "clientCertificate"
	keyCertPassword = "clientCertificatePassword"
	keyCertChain    = "clientCertificateSendChain"
	keyAccount      = "accountKey"
	keySAS          = "sasKey"
	keyAuthority    = "authorityHost"
)

// ErrSecret is wrapped when a Secret does not have what any way to log in needs.
var ErrSecret = fmt.Errorf("needs one of: %q; %q; %q with %q and %q or %q; %q alone; %q alone",
	keyAccount, keySAS, keyClient, keyTenant, keyClientSecret, keyCertificate, keyClient, keyAuthority)

// Login is how requests are authorised. The zero value is nobody's.
type Login struct {
	token      azcore.TokenCredential
	accountKey string
	sas        string
	ambient    bool     // the tokens are not the user's own
	secrets    []string // which no error may tell
}

// Identity returns the login of the controller, or of a ServiceAccount. Its tokens let
// in to more than one container, so that they are shown to Azure alone.
func Identity(credential azcore.TokenCredential) Login {
	return Login{token: credential, ambient: true}
}

// FromSecret returns the login that the data of a Secret describe. Tokens are asked for
// with client.
func FromSecret(data map[string][]byte, client *http.Client) (Login, error) {
	v := make(values, len(data))
	for key, value := range data {
		v[key] = strings.TrimSpace(string(value))
	}
	options, err := identityOptions(v[keyAuthority], client)
	if err != nil {
		return Login{}, err
	}
	login, err := v.login(data, options)
	login.secrets = v.secrets()
	if err != nil {
		return Login{}, objects.Clean(err, login.secrets...)
	}
	return login, nil
}

// values are those of a Secret, without the line ends that files have.
type values map[string]string

// secrets are the values that no error may tell.
func (v values) secrets() []string {
	var list []string
	for _, key := range []string{keyClientSecret, keyCertPassword, keyAccount, keySAS} {
		if v[key] != "" {
			list = append(list, v[key])
		}
	}
	return list
}

// login decides which way of logging in is meant. data are the values as they are.
func (v values) login(data map[string][]byte, options azcore.ClientOptions) (Login, error) {
	principal := v[keyTenant] != "" && v[keyClient] != ""
	switch {
	case principal && v[keyClientSecret] != "":
		token, err := azidentity.NewClientSecretCredential(v[keyTenant], v[keyClient], v[keyClientSecret],
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: isPrivate(options)})
		return Login{token: token}, err
	case principal && v[keyCertificate] != "":
		token, err := certificate(data, options)
		return Login{token: token}, err
	case v[keyClient] != "":
		token, err := azidentity.NewManagedIdentityCredential(
			&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ClientID(v[keyClient])})
		return Login{token: token, ambient: true}, err
	case v[keyAccount] != "":
		return Login{accountKey: v[keyAccount]}, nil
	case v[keySAS] != "":
		sas := strings.TrimPrefix(v[keySAS], "?")
		if _, err := url.ParseQuery(sas); err != nil {
			return Login{}, fmt.Errorf("the value of %q is no query of a URL", keySAS) // the reason would quote it
		}
		return Login{sas: sas}, nil
	case v[keyAuthority] != "":
		token, err := identity(options)
		return Login{token: token, ambient: true}, err
	default:
		return Login{}, ErrSecret
	}
}

// identityOptions are those of a token service, which is Azure's unless another is
// named.
func identityOptions(authority string, client *http.Client) (azcore.ClientOptions, error) {
	options := clientOptions(client)
	if authority == "" {
		return options, nil
	}
	u, err := url.Parse(authority)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return options, fmt.Errorf("the value of %q is no https URL", keyAuthority)
	}
	options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: authority}
	return options, nil
}

// isPrivate reports whether the token service is none of Azure's, so that those of
// Azure know nothing of it and need not be asked.
func isPrivate(options azcore.ClientOptions) bool {
	known := []cloud.Configuration{cloud.AzurePublic, cloud.AzureChina, cloud.AzureGovernment}
	authority := strings.TrimSuffix(options.Cloud.ActiveDirectoryAuthorityHost, "/")
	return authority != "" && !slices.ContainsFunc(known, func(c cloud.Configuration) bool {
		return strings.TrimSuffix(c.ActiveDirectoryAuthorityHost, "/") == authority
	})
}

func certificate(data map[string][]byte, options azcore.ClientOptions) (azcore.TokenCredential, error) {
	certs, key, err := azidentity.ParseCertificates(data[keyCertificate], data[keyCertPassword])
	if err != nil {
		// The reason may quote from the file.
		return nil, fmt.Errorf("the value of %q is no certificate with a private key, or that of %q does not open it", keyCertificate, keyCertPassword)
	}
	chain := strings.TrimSpace(string(data[keyCertChain]))
	return azidentity.NewClientCertificateCredential(strings.TrimSpace(string(data[keyTenant])), strings.TrimSpace(string(data[keyClient])), certs, key,
		&azidentity.ClientCertificateCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: isPrivate(options),
			SendCertificateChain: chain == "1" || strings.EqualFold(chain, "true"),
		})
}

// identity is that of the controller: of its Pod, or else of its machine.
func identity(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	var sources []azcore.TokenCredential
	pod, podErr := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: isPrivate(options),
	})
	if podErr == nil {
		sources = append(sources, pod)
	}
	machine, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options})
	if err != nil {
		return nil, errors.Join(podErr, err)
	}
	return azidentity.NewChainedTokenCredential(append(sources, machine), nil)
}

// open returns the client of a container.
func (l Login) open(u *url.URL, account string, options *container.ClientOptions) (*container.Client, error) {
	switch {
	case l.ambient && !isAzure(u.Hostname()):
		return nil, fmt.Errorf("%w: an identity of the controller or of a ServiceAccount is shown to endpoints of Azure Storage alone", objects.ErrInvalid)
	case l.token != nil:
		if u.Scheme != "https" {
			return nil, fmt.Errorf("%w: access tokens go to https endpoints only", objects.ErrInvalid)
		}
		return container.NewClient(u.String(), l.token, options)
	case l.accountKey != "":
		shared, err := container.NewSharedKeyCredential(account, l.accountKey)
		if err != nil {
			return nil, fmt.Errorf("the value of %q is no key of an account", keyAccount) // the reason may quote it
		}
		return container.NewClientWithSharedKeyCredential(u.String(), shared, options)
	case l.sas != "":
		signed := *u
		signed.RawQuery = strings.TrimPrefix(strings.Join([]string{u.RawQuery, l.sas}, "&"), "&")
		return container.NewClientWithNoCredential(signed.String(), options)
	default:
		return container.NewClientWithNoCredential(u.String(), options)
	}
}

// isAzure reports whether a host is one of Azure Storage.
func isAzure(host string) bool {
	zones := []string{".core.windows.net", ".core.chinacloudapi.cn", ".core.usgovcloudapi.net", ".storage.azure.net"}
	return slices.ContainsFunc(zones, func(zone string) bool { return strings.HasSuffix(host, zone) })
}
