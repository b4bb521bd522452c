package plane

import (
	"log/slog"
	"slices"
	"sync"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/supervisor"
)

// record is what the supervisor tells others, by the state file.
type record struct {
	dir home.Dir
	log *slog.Logger

	mu    sync.Mutex
	state home.State
}

// newRecord begins a record and tells its state.
func newRecord(dir home.Dir, log *slog.Logger, first home.State) *record {
	r := &record{dir: dir, log: log, state: first}
	r.change(func(*home.State) {})
	return r
}

// phase tells that the plane is in another phase.
func (r *record) phase(phase home.Phase, step string) {
	r.change(func(s *home.State) { s.Phase, s.Step = phase, step })
}

// fail tells why the plane is no more.
func (r *record) fail(err error) {
	r.change(func(s *home.State) { s.Phase, s.Step, s.Failure = home.Failed, "", err.Error() })
}

// component tells how a component is doing.
func (r *record) component(status supervisor.Status) {
	r.change(func(s *home.State) {
		now := home.Component{Name: status.Name, PID: status.PID, Restarts: status.Restarts}
		i := slices.IndexFunc(s.Components, func(c home.Component) bool { return c.Name == status.Name })
		if i < 0 {
			s.Components = append(s.Components, now)
			return
		}
		s.Components[i] = now
	})
}

func (r *record) change(f func(*home.State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.state)
	if err := r.dir.SetState(r.state); err != nil {
		r.log.Error("telling the state", "error", err)
	}
}
