package s3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
)

// peek is how much of a listing is looked at before it is taken for one.
const peek = 1 << 10

// errNoListing: taken for an empty listing, such an answer would empty the artifact.
var errNoListing = errors.New("the server answers a listing with something else: is there an S3 storage at the endpoint?")

// listings refuses answers to listings that are none. The XML of anything else, such as
// the page of a proxy, would be read as a listing without objects.
type listings struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l listings) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK || !isListing(req) {
		return res, err
	}
	body := bufio.NewReaderSize(res.Body, peek)
	if head, _ := body.Peek(peek); !bytes.Contains(head, []byte("<ListBucketResult")) {
		return nil, errors.Join(errNoListing, res.Body.Close())
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{body, res.Body}
	return res, nil
}

// isListing tells the listing of objects, old or new, from other requests.
func isListing(req *http.Request) bool {
	q := req.URL.Query()
	return req.Method == http.MethodGet && (q.Has("list-type") || q.Has("prefix"))
}
