package gcs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"weir.dev/source-controller/internal/bucket/objects"
)

const (
	// scope is all that is needed.
	scope = "https://www.googleapis.com/auth/devstorage.read_only"
	// early is how long before its end that a token is replaced.
	early = time.Minute
)

// Login is where access tokens come from.
type Login struct {
	token   func(context.Context) (*oauth2.Token, error)
	ambient bool // the tokens are not the user's own
}

// ServiceAccount returns the login of a service account, of which key is the JSON file.
// Files of other kinds are refused: they can name files, addresses and programs of this
// machine. Tokens are asked for with client, which has a timeout.
func ServiceAccount(key []byte, client *http.Client) (Login, error) {
	config, err := google.JWTConfigFromJSON(key, scope)
	if err != nil || config.Email == "" || len(config.PrivateKey) == 0 {
		// The reason may quote from the key.
		return Login{}, errors.New("it is not the JSON file of a service account's key")
	}
	return Login{token: reuse(func(ctx context.Context) (*oauth2.Token, error) {
		token, err := config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token()
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil {
			return nil, fmt.Errorf("the service account is refused: HTTP status %d", refused.Response.StatusCode)
		}
		return token, objects.Clean(err)
	})}, nil
}

// Identity returns the login of the controller, or of a ServiceAccount, whose tokens
// fetch gets. They let in to more than one bucket, so that they are shown to Google
// alone.
func Identity(fetch func(context.Context) (*oauth2.Token, error)) Login {
	return Login{token: reuse(fetch), ambient: true}
}

// reuse returns a function that calls fetch before a token ends, and not more often.
func reuse(fetch func(context.Context) (*oauth2.Token, error)) func(context.Context) (*oauth2.Token, error) {
	var mu sync.Mutex
	var token *oauth2.Token
	return func(ctx context.Context) (*oauth2.Token, error) {
		mu.Lock()
		defer mu.Unlock()
		if token != nil && (token.Expiry.IsZero() || time.Now().Add(early).Before(token.Expiry)) {
			return token, nil
		}
		fresh, err := fetch(ctx)
		if err != nil {
			return nil, err
		}
		token = fresh
		return token, nil
	}
}
