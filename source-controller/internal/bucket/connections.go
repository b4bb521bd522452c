package bucket

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// connection is a storage, and what it is reached by.
type connection struct {
	storage
	fingerprint string
	close       func()
}

// connections keeps the connection of each object between its runs, so that a run need
// not log in, nor shake hands, nor ask for the region. The zero value is empty.
type connections struct {
	mu    sync.Mutex
	byUID map[types.UID]*connection
}

// get returns the connection of an object, or makes another if what it is made of has
// changed.
func (c *connections) get(uid types.UID, fingerprint string, open func() (*connection, error)) (*connection, error) {
	c.mu.Lock()
	known := c.byUID[uid]
	c.mu.Unlock()
	if known != nil && known.fingerprint == fingerprint {
		return known, nil
	}
	fresh, err := open()
	c.forget(uid)
	if err != nil {
		return nil, err
	}
	fresh.fingerprint = fingerprint
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byUID == nil {
		c.byUID = make(map[types.UID]*connection)
	}
	c.byUID[uid] = fresh
	return fresh, nil
}

// forget closes the connection of an object.
func (c *connections) forget(uid types.UID) {
	c.mu.Lock()
	known := c.byUID[uid]
	delete(c.byUID, uid)
	c.mu.Unlock()
	if known != nil {
		known.close()
	}
}
