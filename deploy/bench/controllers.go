package main

import (
	"context"
	"net"

	"weir.dev/deploy/internal/stack"
)

// startControllers starts each with its metrics, and waits for those. Whosever they are,
// they are told the same, by flags that others have too.
func (w *world) startControllers(ctx context.Context) error {
	artifacts, err := freeAddr()
	if err != nil {
		return err
	}
	more := map[string][]string{
		sourceController:    {"--storage-addr=" + artifacts, "--storage-adv-addr=" + artifacts},
		kustomizeController: {"SOURCE_CONTROLLER_LOCALHOST=" + artifacts},
		helmController:      {"SOURCE_CONTROLLER_LOCALHOST=" + artifacts},
	}
	start := map[string]func(context.Context, ...string) (*stack.Program, error){
		sourceController: w.SourceController, kustomizeController: w.KustomizeController,
		helmController: w.HelmController, imageController: w.ImageController,
	}
	for _, name := range w.opts.programs() {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		p, err := start[name](ctx, append(more[name], "--metrics-addr="+addr, "--events-addr=", "--watch-all-namespaces=true",
			"--enable-leader-election=false", "RUNTIME_NAMESPACE="+namespace)...)
		if err != nil {
			return err
		}
		if err := w.meter.add(ctx, program{name: name, pid: p.PID(), metrics: "http://" + addr, ended: p.Ended()}); err != nil {
			return err
		}
	}
	return nil
}

// freeAddr returns an address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
