package cloud

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/smithy-go"
	"golang.org/x/oauth2"
)

// refused is an error of a cloud in words that are the same each time. The originals
// have the numbers of requests and the time, or the whole of an answer.
type refused struct {
	says  string
	cause error
}

func (r refused) Error() string { return r.says }

func (r refused) Unwrap() error { return r.cause }

// stable leaves out of an error what changes from one time to the next.
func stable(err error) error {
	var ofAWS smithy.APIError
	var ofIdentity *azidentity.AuthenticationFailedError
	var ofAzure *azcore.ResponseError
	var ofGoogle *oauth2.RetrieveError
	switch {
	case errors.As(err, &ofAWS):
		return refused{says: fmt.Sprintf("AWS refuses: %s: %s", ofAWS.ErrorCode(), ofAWS.ErrorMessage()), cause: err}
	case errors.As(err, &ofIdentity):
		return refused{says: "Azure refuses the identity" + status(ofIdentity.RawResponse), cause: err}
	case errors.As(err, &ofAzure):
		return refused{says: fmt.Sprintf("Azure refuses: %s%s", ofAzure.ErrorCode, status(ofAzure.RawResponse)), cause: err}
	case errors.As(err, &ofGoogle):
		return refused{says: fmt.Sprintf("Google refuses: %s %s%s", ofGoogle.ErrorCode, ofGoogle.ErrorDescription, status(ofGoogle.Response)), cause: err}
	default:
		return err
	}
}

func status(res *http.Response) string {
	if res == nil {
		return ""
	}
	return fmt.Sprintf(" (HTTP status %d)", res.StatusCode)
}
