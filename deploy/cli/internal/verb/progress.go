package verb

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"weir.dev/deploy/cli/internal/session"
)

// redrawEvery is how often the time that has gone by is shown anew.
const redrawEvery = 200 * time.Millisecond

// progress tells of steps that take long. On a screen it shows how far it is, in the last
// line; elsewhere it only says what is done.
type progress struct {
	*session.Session
	mu    sync.Mutex
	bar   *progressbar.ProgressBar // nil where there is no screen, and when it is over
	ended chan struct{}
}

func newProgress(s *session.Session, steps int) *progress {
	p := &progress{Session: s, ended: make(chan struct{})}
	if !s.Terminal || s.Getenv("NO_COLOR") != "" || s.Getenv("TERM") == "dumb" {
		return p
	}
	p.bar = progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(s.Err), progressbar.OptionSetWidth(30), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetRenderBlankState(true), progressbar.OptionClearOnFinish(),
	)
	go p.redraw()
	return p
}

// redraw shows the time that goes by, until the end.
func (p *progress) redraw() {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return
		case <-tick.C:
			p.mu.Lock()
			if p.bar != nil {
				_ = p.bar.RenderBlank() // it is shown the next time
			}
			p.mu.Unlock()
		}
	}
}

// done says what is done, and shows that the rest is one step less.
func (p *progress) done(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear() // a line too many is no harm
	}
	p.Done("%s", step)
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
}

// end takes the bar from the screen. It may be called again.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	_ = p.bar.Clear()
	p.bar = nil
	close(p.ended)
}
