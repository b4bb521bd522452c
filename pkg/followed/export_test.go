package followed

import "time"

// At sets the time.
func (o *Objects) At(now time.Time) { o.now = func() time.Time { return now } }

// Followed returns how many objects are followed.
func (o *Objects) Followed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}
