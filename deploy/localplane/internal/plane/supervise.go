package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"weir.dev/deploy/localplane/internal/component"
	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/kubeconfig"
	"weir.dev/deploy/localplane/internal/logfile"
	"weir.dev/deploy/localplane/internal/supervisor"
)

const (
	// supervisorName is that of its log.
	supervisorName = "supervisor"
	tailLines      = 12
	// patience is how often a component may end before the plane was ready.
	patience       = 3
	requestTimeout = 5 * time.Second
)

// stages are the components in the order of their start. Those of one stage start
// together, and stop together; the next starts when all of this one work.
func stages() []stage {
	return []stage{
		// The API server spends its first second on itself, so etcd will be there.
		{component.Etcd, component.APIServer},
		{component.ControllerManager, component.Scheduler, component.Kwok},
	}
}

type stage []string

// Supervise runs the components of a plane until ctx ends, nobody has used it for
// opts.Idle, or one of them cannot be started. Its log goes to out.
func Supervise(ctx context.Context, opts Options, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(out, nil))
	dir, err := home.Find(opts.Dir)
	if err != nil {
		return err
	}
	mine, ok, err := home.Own(dir.Supervisor())
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("the plane of %q has a supervisor already", string(dir))
	}
	defer mine.Release()
	started := time.Now()
	r := newRecord(dir, log, home.State{Phase: home.Starting, Started: started, Idle: opts.Idle, Fsync: opts.Fsync})
	p, err := prepare(ctx, dir, opts, log, r)
	if err != nil {
		r.fail(err)
		return err
	}
	defer p.inherited.Release()
	if err := p.run(ctx, started); err != nil {
		r.fail(err)
		return err
	}
	r.phase(home.Stopped, "")
	return nil
}

// running is a plane in the hands of its supervisor.
type running struct {
	dir       home.Dir
	idle      time.Duration
	nodes     int
	setting   component.Setting
	client    *http.Client
	procs     *supervisor.Supervisor
	record    *record
	log       *slog.Logger
	inherited *home.Lock // each component holds it, too
}

// prepare makes ready what the components need. It waits for those of a supervisor
// that was killed to be gone: they have its ports and its data.
func prepare(ctx context.Context, dir home.Dir, opts Options, log *slog.Logger, r *record) (*running, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, killTimeout, errors.New("components of a supervisor that was killed are still there"))
	defer cancel()
	inherited, err := home.Acquire(ctx, dir.Components(), home.Exclusive)
	if err != nil {
		return nil, err
	}
	p := &running{dir: dir, idle: opts.Idle, nodes: opts.Nodes, record: r, log: log, inherited: inherited}
	if err := p.configure(opts); err != nil {
		inherited.Release()
		return nil, err
	}
	return p, nil
}

func (p *running) configure(opts Options) error {
	ports, err := p.dir.Ports()
	if err != nil {
		return err
	}
	p.setting = component.Setting{Home: p.dir, Ports: ports, Fsync: opts.Fsync}
	if err := p.setting.Prepare(time.Now()); err != nil {
		return err
	}
	admin, err := kubeconfig.Read(p.dir.Kubeconfig())
	if err != nil {
		return err
	}
	admin.Timeout = requestTimeout
	if p.client, err = rest.HTTPClientFor(admin); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this binary: %w", err)
	}
	p.procs = supervisor.New(supervisor.Options{
		Executable: self,
		Dir:        string(p.dir),
		// Nothing of the caller's: kwok, for one, reads a file in HOME.
		Env:     []string{"HOME=" + string(p.dir)},
		Inherit: p.inherited.File(),
		Log:     p.log,
		Changed: p.record.component,
	})
	return nil
}

// run starts the components, keeps them until ctx ends or the plane is idle, and
// stops them in the reverse order.
func (p *running) run(ctx context.Context, started time.Time) error {
	defer p.stop()
	for _, s := range stages() {
		if err := p.start(ctx, s); err != nil {
			return toldToStop(ctx, err)
		}
	}
	if err := p.startNodes(ctx, started); err != nil {
		return toldToStop(ctx, err)
	}
	p.record.phase(home.Ready, "")
	p.log.Info("up", "after", time.Since(started))
	unused, err := awaitIdle(ctx, p.dir.Users(), p.idle)
	if err != nil {
		return err
	}
	p.record.phase(home.Stopping, "")
	if unused != nil {
		// Until here it was held, so that no up believes that the plane will stay.
		unused.Release()
		p.log.Info("stopping, as nobody has used the plane", "for", p.idle)
	}
	return nil
}

// toldToStop returns err unless it is there because ctx has ended.
func toldToStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// start starts the components of a stage and waits until they work.
func (p *running) start(ctx context.Context, s stage) error {
	p.record.phase(home.Starting, "starting "+strings.Join(s, ", "))
	for _, name := range s {
		process := supervisor.Process{Name: name, Args: p.setting.Args(name), Log: p.dir.Log(name)}
		if err := p.procs.Start(process); err != nil {
			return err
		}
	}
	for _, name := range s {
		url, ok := p.setting.HealthURLs()[name]
		if !ok {
			continue // it is seen by what it does for others
		}
		if err := p.await(ctx, func() bool { return healthy(ctx, p.client, url) }); err != nil {
			return err
		}
	}
	return nil
}

// startNodes makes the nodes and waits until they take Pods.
func (p *running) startNodes(ctx context.Context, started time.Time) error {
	p.record.phase(home.Starting, "waiting for nodes")
	c, err := connect(p.dir.Kubeconfig())
	if err != nil {
		return err
	}
	return p.await(ctx, func() bool { return usable(ctx, c, p.nodes, started) == nil })
}

// await waits until something is done. If a component ends again and again
// meanwhile, that is the error.
func (p *running) await(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case ended := <-p.procs.Ended():
			if ended.Times >= patience {
				return p.giveUp(ended)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
	return nil
}

func healthy(ctx context.Context, c *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := c.Do(req)
	if err != nil {
		return false // most likely it does not listen yet
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return errors.Join(err, resp.Body.Close()) == nil && resp.StatusCode == http.StatusOK
}

// giveUp tells which component cannot be started, why, and what can be done.
func (p *running) giveUp(e supervisor.Ended) error {
	path := p.dir.Log(e.Name)
	last, err := logfile.Tail(path, tailLines)
	if err != nil {
		last = err.Error()
	}
	return fmt.Errorf("%s ended %d times at its start (%w); the end of %s:\n%s\n"+
		"If the data in %s is damaged, remove it with `localplane down --dir %s --delete` and begin anew.",
		e.Name, e.Times, e.Err, path, last, p.dir, p.dir)
}

// stop stops the stages, the last first.
func (p *running) stop() {
	p.record.phase(home.Stopping, "")
	all := stages()
	for i := range all {
		p.stopStage(all[len(all)-1-i])
	}
}

// stopStage stops the components of a stage; the API server before etcd, whose
// answers it waits for.
func (p *running) stopStage(s stage) {
	if s[0] == component.Etcd {
		p.procs.Stop(s[1:]...)
		s = s[:1]
	}
	p.procs.Stop(s...)
}
