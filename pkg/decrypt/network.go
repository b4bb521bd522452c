package decrypt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/smithy-go"
	"github.com/googleapis/gax-go/v2/apierror"
	vault "github.com/hashicorp/vault/api"
	"golang.org/x/oauth2"
)

// network is how key services are reached. The zero value is the way of the process.
type network struct {
	transport http.RoundTripper // nil means the usual one
}

// client returns a client for key services of clouds.
func (n network) client() *http.Client { return limitedClient(n.transport) }

// vaultClient returns a client for a Vault, which may have a certificate authority of its own.
func (n network) vaultClient() *http.Client {
	if n.transport != nil {
		return limitedClient(n.transport)
	}
	return limitedClient(vaultTransport())
}

// vaultTransport is made of the settings that all clients of Vault take from the environment.
var vaultTransport = sync.OnceValue(func() http.RoundTripper { return vault.DefaultConfig().HttpClient.Transport })

// limitedClient returns a client that reads no more than a limit of an answer.
func limitedClient(base http.RoundTripper) *http.Client {
	if base == nil {
		base = http.DefaultTransport
	}
	return &http.Client{Transport: limited{base}, Timeout: patience}
}

type limited struct{ base http.RoundTripper }

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	const most = 1 << 20 // bytes
	res, err := l.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, most), res.Body}
	return res, nil
}

// stable leaves out of an error what changes from one time to the next, such as numbers of requests.
func stable(err error) error {
	var ofAWS smithy.APIError
	var ofIdentity *azidentity.AuthenticationFailedError
	var ofAzure *azcore.ResponseError
	var ofGoogle *apierror.APIError
	var ofOAuth *oauth2.RetrieveError
	var ofVault *vault.ResponseError
	var ofNetwork *net.OpError
	switch {
	case errors.As(err, &ofAWS):
		return fmt.Errorf("AWS refuses: %s: %s", ofAWS.ErrorCode(), ofAWS.ErrorMessage())
	case errors.As(err, &ofIdentity):
		return errors.New("Azure refuses the identity" + status(ofIdentity.RawResponse))
	case errors.As(err, &ofAzure):
		return errors.New("Azure refuses" + reason(ofAzure.ErrorCode) + status(ofAzure.RawResponse))
	case errors.As(err, &ofGoogle):
		return errors.New("Google refuses" + httpStatus(ofGoogle.HTTPCode()))
	case errors.As(err, &ofOAuth):
		return errors.New("Google refuses" + reason(ofOAuth.ErrorCode) + status(ofOAuth.Response))
	case errors.As(err, &ofVault):
		return fmt.Errorf("the Vault refuses: HTTP status %d, %q", ofVault.StatusCode, ofVault.Errors)
	case errors.As(err, &ofNetwork) && ofNetwork.Addr != nil: // which also tells the port on this side
		return fmt.Errorf("%s %s: %w", ofNetwork.Op, ofNetwork.Addr, ofNetwork.Err)
	}
	return err
}

func reason(code string) string {
	if code == "" {
		return ""
	}
	return ": " + code
}

func status(res *http.Response) string {
	if res == nil {
		return ""
	}
	return httpStatus(res.StatusCode)
}

func httpStatus(code int) string { return fmt.Sprintf(" (HTTP status %d)", code) }
