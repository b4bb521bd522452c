package plane

import (
	"context"
	"time"

	"weir.dev/deploy/localplane/internal/home"
)

// idlePoll is how often it is looked whether anybody uses the plane, at most.
const idlePoll = time.Second

// awaitIdle returns when nobody has held a share in the lock of path for so long,
// with the lock held, or when ctx ends. Without a limit only the latter happens.
func awaitIdle(ctx context.Context, path string, limit time.Duration) (*home.Lock, error) {
	if limit <= 0 {
		<-ctx.Done()
		return nil, nil
	}
	tick := time.NewTicker(min(idlePoll, limit))
	defer tick.Stop()
	c := idleClock{limit: limit, used: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case now := <-tick.C:
			l, unused, err := home.Try(path, home.Exclusive)
			if err != nil {
				return nil, err
			}
			if c.over(now, unused) {
				return l, nil
			}
			if unused {
				l.Release()
			}
		}
	}
}

// idleClock tells when a time of no use is over.
type idleClock struct {
	limit time.Duration
	used  time.Time // last
}

func (c *idleClock) over(now time.Time, unused bool) bool {
	if !unused {
		c.used = now
		return false
	}
	return now.Sub(c.used) >= c.limit
}
