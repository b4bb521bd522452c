package credstest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Login is who may use a proxy. The zero value lets everybody.
type Login struct{ Username, Password string }

// Proxy passes connections on.
type Proxy struct {
	// URL is the address of the proxy, without user name and password.
	URL string

	login Login
	ln    net.Listener

	mu      sync.Mutex
	targets []string
	refused int
	open    map[net.Conn]bool
	ended   sync.WaitGroup
}

// StartHTTP starts a proxy that speaks HTTP.
func StartHTTP(t testing.TB, login Login) *Proxy {
	t.Helper()
	p := start(t, "http", login, nil)
	p.serve(p.http)
	return p
}

// StartHTTPS starts a proxy that speaks HTTP by TLS, with a certificate.
func StartHTTPS(t testing.TB, login Login, cert tls.Certificate) *Proxy {
	t.Helper()
	p := start(t, "https", login, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	p.serve(p.http)
	return p
}

// StartSOCKS5 starts a proxy that speaks SOCKS5.
func StartSOCKS5(t testing.TB, login Login) *Proxy {
	t.Helper()
	p := start(t, "socks5", login, nil)
	p.serve(p.socks)
	return p
}

// Targets returns to where connections were passed on: host:port.
func (p *Proxy) Targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.targets)
}

// Refused returns how many connections had the wrong user name or password.
func (p *Proxy) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

func start(t testing.TB, scheme string, login Login, config *tls.Config) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: scheme + "://" + ln.Addr().String(), login: login, ln: ln, open: make(map[net.Conn]bool)}
	if config != nil {
		p.ln = tls.NewListener(ln, config)
	}
	t.Cleanup(func() {
		ln.Close()
		p.mu.Lock()
		for conn := range p.open {
			conn.Close()
		}
		p.mu.Unlock()
		p.ended.Wait()
	})
	return p
}

// serve hands each connection to a handler.
func (p *Proxy) serve(handle func(net.Conn) error) {
	p.ended.Go(func() {
		for {
			conn, err := p.ln.Accept()
			if err != nil {
				return
			}
			p.track(conn, true)
			p.ended.Go(func() {
				defer p.track(conn, false)
				_ = handle(conn) // the client sees what is wrong
			})
		}
	})
}

func (p *Proxy) track(conn net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.open[conn] = true
		return
	}
	delete(p.open, conn)
	conn.Close()
}

// dial connects to a target, and remembers it.
func (p *Proxy) dial(target string) (net.Conn, error) {
	p.mu.Lock()
	p.targets = append(p.targets, target)
	p.mu.Unlock()
	return net.Dial("tcp", target)
}

func (p *Proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused++
}

// relay passes bytes on in both directions until both have ended.
func (p *Proxy) relay(client net.Conn, fromClient io.Reader, target net.Conn) {
	p.track(target, true)
	defer p.track(target, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(target, fromClient) // it ends with the connection
		target.Close()
	}()
	_, _ = io.Copy(client, target) // likewise
	client.Close()
	<-done
}

// http answers the requests of one connection.
func (p *Proxy) http(conn net.Conn) error {
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login.Username+":"+p.login.Password))
	if p.login != (Login{}) && req.Header.Get("Proxy-Authorization") != want {
		p.refuse()
		_, err := io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	target, err := p.dial(req.Host)
	if err != nil {
		_, err := io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	if req.Method == http.MethodConnect {
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Proxy: yes\r\n\r\n"); err != nil {
			return err
		}
		p.relay(conn, r, target)
		return nil
	}
	// One request for a connection is enough for a test.
	req.Header.Del("Proxy-Authorization")
	req.Close = true
	if err := req.Write(target); err != nil {
		return errors.Join(err, target.Close())
	}
	p.relay(conn, r, target)
	return nil
}

// socks answers one connection by RFC 1928 and 1929.
func (p *Proxy) socks(conn net.Conn) error {
	methods, err := block(conn, 1)
	if err != nil {
		return err
	}
	method := byte(0)
	if p.login != (Login{}) {
		method = 2
	}
	if !slices.Contains(methods, method) {
		p.refuse()
		_, err := conn.Write([]byte{5, 0xff})
		return err
	}
	if _, err := conn.Write([]byte{5, method}); err != nil {
		return err
	}
	if method == 2 && !p.socksLogin(conn) {
		p.refuse()
		_, err := conn.Write([]byte{1, 1})
		return err
	}
	addr, err := socksTarget(conn)
	if err != nil {
		return err
	}
	target, err := p.dial(addr)
	if err != nil {
		_, err := conn.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return err
	}
	if _, err := conn.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0}); err != nil {
		return err
	}
	p.relay(conn, conn, target)
	return nil
}

func (p *Proxy) socksLogin(conn net.Conn) bool {
	user, err := block(conn, 1)
	if err != nil {
		return false
	}
	password, err := block(conn, 0)
	if err != nil || string(user) != p.login.Username || string(password) != p.login.Password {
		return false
	}
	_, err = conn.Write([]byte{1, 0})
	return err == nil
}

// block reads bytes that their number goes before, after some others.
func block(r io.Reader, skip int) ([]byte, error) {
	head := make([]byte, skip+1)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	data := make([]byte, head[skip])
	_, err := io.ReadFull(r, data)
	return data, err
}

// socksTarget reads a request to connect.
func socksTarget(conn net.Conn) (string, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	var host string
	switch kind := head[3]; kind {
	case 1, 4:
		ip := make([]byte, map[byte]int{1: net.IPv4len, 4: net.IPv6len}[kind])
		if _, err := io.ReadFull(conn, ip); err != nil {
			return "", err
		}
		host = net.IP(ip).String()
	case 3:
		name, err := block(conn, 0)
		if err != nil {
			return "", err
		}
		host = string(name)
	default:
		return "", fmt.Errorf("address of kind %d", kind)
	}
	port := make([]byte, 2)
	if _, err := io.ReadFull(conn, port); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), nil
}
