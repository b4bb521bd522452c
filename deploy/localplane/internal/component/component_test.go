package component_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/deploy/localplane/internal/component"
	"weir.dev/deploy/localplane/internal/home"
)

func TestPrepareTwice(t *testing.T) {
	s := setting(t)
	if err := s.Prepare(time.Now()); err != nil {
		t.Fatal(err)
	}
	first := read(t, s.Home.Kubeconfig())
	if err := s.Prepare(time.Now()); err != nil {
		t.Fatal(err)
	}
	if read(t, s.Home.Kubeconfig()) != first {
		t.Error("a restart changed the kubeconfig, so copies of it are worth nothing")
	}
	s.Ports.APIServer++
	if err := s.Prepare(time.Now()); err != nil {
		t.Fatal(err)
	}
	if read(t, s.Home.Kubeconfig()) == first {
		t.Error("the kubeconfig does not follow the port of the API server")
	}
}

func TestArgs(t *testing.T) {
	s := setting(t)
	if err := s.Prepare(time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{component.Etcd, component.APIServer, component.ControllerManager, component.Scheduler, component.Kwok} {
		t.Run(name, func(t *testing.T) {
			args := s.Args(name)
			if len(args) < 3 || args[0] != component.Verb || args[1] != name {
				t.Fatalf("Args() = %q; want them to begin with %q %q", args, component.Verb, name)
			}
			var flags []string
			for _, arg := range args[2:] {
				flag, value, ok := strings.Cut(arg, "=")
				if !ok || !strings.HasPrefix(flag, "--") || slices.Contains(flags, flag) {
					t.Errorf("%q is no flag with a value, or is there twice", arg)
				}
				flags = append(flags, flag)
				if strings.HasPrefix(value, string(s.Home)) && flag != "--data-dir" {
					read(t, value)
				}
				if strings.Contains(flag, "bind-address") && value != "127.0.0.1" {
					t.Errorf("%q: others on the network could connect", arg)
				}
			}
		})
	}
}

func TestNameThatIsNone(t *testing.T) {
	if got := setting(t).Args("kubelet"); len(got) != 2 {
		t.Errorf("Args() = %q; want no flags", got)
	}
}

func setting(t *testing.T) component.Setting {
	t.Helper()
	dir, err := home.Claim(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return component.Setting{Home: dir, Ports: home.Ports{APIServer: 1, Etcd: 2, EtcdPeer: 3, ControllerManager: 4, Scheduler: 5}}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
