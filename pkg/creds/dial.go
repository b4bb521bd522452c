package creds

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

const (
	dialTimeout = 30 * time.Second
	// maxProxyAnswer is how long the answer of an HTTP proxy may be.
	maxProxyAnswer = 16 << 10
)

var (
	// errProxyAnswer: the proxy says something that is not HTTP.
	errProxyAnswer = errors.New("unexpected answer of the proxy")
	// errProxyRefuses: the proxy wants another user name and password.
	errProxyRefuses = errors.New("it refuses the user name and password")
)

// RefusedByProxy reports whether err is that of a connection whose proxy refuses the
// user name and password, or wants some.
func RefusedByProxy(err error) bool {
	if err == nil || errors.Is(err, errProxyRefuses) {
		return err != nil
	}
	// net/http and golang.org/x/net export no errors for it.
	said := err.Error()
	return strings.Contains(said, "Proxy Authentication Required") || strings.Contains(said, "username/password authentication failed") ||
		strings.Contains(said, "no acceptable authentication methods")
}

// DialContext connects to addr through the proxy, or directly if there is none: what
// no HTTP request makes knows nothing of the environment's.
func (p Proxy) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	direct := &net.Dialer{Timeout: dialTimeout}
	if p.url == nil {
		return direct.DialContext(ctx, network, addr)
	}
	conn, err := p.dial(ctx, direct, network, addr)
	if err != nil {
		return nil, fmt.Errorf("through the proxy %s: %w", p, err)
	}
	return conn, nil
}

func (p Proxy) dial(ctx context.Context, direct *net.Dialer, network, addr string) (net.Conn, error) {
	if p.url.Scheme == schemeSOCKS5 {
		var auth *proxy.Auth
		if p.url.User != nil {
			password, _ := p.url.User.Password()
			auth = &proxy.Auth{User: p.url.User.Username(), Password: password}
		}
		socks, err := proxy.SOCKS5("tcp", p.address(), auth, direct)
		if err != nil {
			return nil, err
		}
		return socks.(proxy.ContextDialer).DialContext(ctx, network, addr)
	}
	conn, err := direct.DialContext(ctx, "tcp", p.address())
	if err != nil {
		return nil, err
	}
	if p.url.Scheme == schemeHTTPS {
		conn = tls.Client(conn, &tls.Config{ServerName: p.url.Hostname(), MinVersion: tls.VersionTLS12})
	}
	if err := p.connect(ctx, conn, addr); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// address is where the proxy listens.
func (p Proxy) address() string {
	port := p.url.Port()
	if port == "" {
		port = map[string]string{schemeHTTP: "80", schemeHTTPS: "443", schemeSOCKS5: "1080"}[p.url.Scheme]
	}
	return net.JoinHostPort(p.url.Hostname(), port)
}

// connect asks an HTTP proxy to pass everything on to addr from here on.
func (p Proxy) connect(ctx context.Context, conn net.Conn, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends what is under way
	err := p.ask(conn, addr)
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

func (p Proxy) ask(conn net.Conn, addr string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: make(http.Header)}
	if p.url.User != nil {
		password, _ := p.url.User.Password()
		login := base64.StdEncoding.EncodeToString([]byte(p.url.User.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+login)
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	head, err := readHead(conn)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), req)
	if err != nil {
		return errProxyAnswer
	}
	_ = res.Body.Close() // after CONNECT, there is none
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return errProxyRefuses
	default:
		return fmt.Errorf("%w: HTTP status %d", errProxyAnswer, res.StatusCode)
	}
}

// readHead reads an answer up to the empty line, and no byte more: what follows is not
// the proxy's.
func readHead(conn net.Conn) ([]byte, error) {
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if len(head) >= maxProxyAnswer {
			return nil, fmt.Errorf("%w: more than %d bytes", errProxyAnswer, maxProxyAnswer)
		}
		if _, err := conn.Read(b); err != nil {
			return nil, err
		}
	}
	return head, nil
}
