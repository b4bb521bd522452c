package tags

import (
	"container/list"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// perTag is what a tag costs in memory besides its text.
const perTag = 16

// shared are the lists that were used last.
type shared struct {
	limit int

	mu    sync.Mutex
	size  int
	order *list.List // of *loan, the last used first
	loans map[types.NamespacedName]*list.Element
}

// loan is a list that is in memory.
type loan struct {
	repo  types.NamespacedName
	image string
	list  List
	size  int
}

func newShared(limit int) *shared {
	return &shared{limit: limit, order: list.New(), loans: make(map[types.NamespacedName]*list.Element)}
}

// get returns a list that is in memory.
func (s *shared) get(repo types.NamespacedName, image string) (List, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.loans[repo]
	if !ok || e.Value.(*loan).image != image {
		return List{}, false
	}
	s.order.MoveToFront(e)
	return e.Value.(*loan).list, true
}

// put keeps a list in memory, whose text has so many bytes, in place of others.
func (s *shared) put(repo types.NamespacedName, image string, l List, text int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(repo)
	size := text + perTag*len(l.Tags)
	s.loans[repo] = s.order.PushFront(&loan{repo: repo, image: image, list: l, size: size})
	s.size += size
	for s.size > s.limit && s.order.Len() > 1 {
		s.drop(s.order.Back().Value.(*loan).repo)
	}
}

// forget drops the list of an object.
func (s *shared) forget(repo types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(repo)
}

func (s *shared) drop(repo types.NamespacedName) {
	e, ok := s.loans[repo]
	if !ok {
		return
	}
	s.order.Remove(e)
	delete(s.loans, repo)
	s.size -= e.Value.(*loan).size
}
