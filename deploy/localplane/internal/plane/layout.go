// Package plane starts, supervises and stops a control plane whose data is in one
// folder.
//
// A supervisor process owns the components: it restarts one that ends, and they
// end with it, however it does. What it needs to start again is in the folder, so
// a kill loses nothing but the processes.
package plane

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"
)

// SuperviseVerb is the verb by which up starts the supervisor.
const SuperviseVerb = "supervise"

// Options are what up was asked for.
type Options struct {
	Dir   string
	Idle  time.Duration
	Fsync bool
}

// layout names what is in the folder of a plane.
type layout string

func (l layout) file(name string) string { return filepath.Join(string(l), name) }

func (l layout) marker() string     { return l.file("localplane") } // tells that the folder is ours
func (l layout) starting() string   { return l.file("starting") }   // locked by up
func (l layout) running() string    { return l.file("running") }    // locked by the supervisor; holds its pid
func (l layout) users() string      { return l.file("users") }      // locked by who uses the plane
func (l layout) ports() string      { return l.file("ports.json") }
func (l layout) pids() string       { return l.file("pids.json") }
func (l layout) pki() string        { return l.file("pki") }
func (l layout) logs() string       { return l.file("log") }
func (l layout) etcd() string       { return l.file("etcd") }
func (l layout) kubeconfig() string { return l.file("kubeconfig") }

// claim makes dir a plane's folder. One that holds something else is refused.
func claim(dir string) (layout, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	l := layout(abs)
	if _, err := os.Stat(l.marker()); err == nil {
		return l, nil
	}
	entries, err := os.ReadDir(abs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s holds something else than a plane: name an empty folder", abs)
	}
	for _, d := range []string{abs, l.logs()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", err
		}
	}
	return l, os.WriteFile(l.marker(), []byte("The data of a localplane. See `localplane help`.\n"), 0o600)
}

// existing returns the layout of a folder that must be a plane's.
func existing(dir string) (layout, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	l := layout(abs)
	if _, err := os.Stat(l.marker()); err != nil {
		return "", fmt.Errorf("%s is not the folder of a plane", abs)
	}
	return l, nil
}

// ports are where the components listen, on the loopback interface.
type ports struct {
	Etcd, EtcdPeer, APIServer, ControllerManager, Scheduler int
}

// choosePorts returns the ports of the last start if they are free, so that
// kubeconfigs handed out before keep working, and free ones otherwise.
func choosePorts(l layout) (ports, error) {
	var p ports
	if data, err := os.ReadFile(l.ports()); err == nil && json.Unmarshal(data, &p) == nil && free(p) {
		return p, nil
	}
	for _, field := range []*int{&p.Etcd, &p.EtcdPeer, &p.APIServer, &p.ControllerManager, &p.Scheduler} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // after all are chosen, so that they differ
		*field = l.Addr().(*net.TCPAddr).Port
	}
	data, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	return p, os.WriteFile(l.ports(), data, 0o600)
}

func free(p ports) bool {
	for _, port := range []int{p.Etcd, p.EtcdPeer, p.APIServer, p.ControllerManager, p.Scheduler} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil || port == 0 {
			return false
		}
		l.Close()
	}
	return true
}

// lock opens a file and locks it as a whole. Without wait, a file that somebody
// else has locked gives ok false.
func lock(path string, how int) (f *os.File, ok bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), how)
	if err == nil {
		return f, true, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("locking %s: %w", path, err)
}

// KubernetesVersion returns the version of the Kubernetes module in this binary.
func KubernetesVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/kubernetes" {
			return m.Version
		}
	}
	return "unknown"
}
