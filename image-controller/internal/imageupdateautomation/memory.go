package imageupdateautomation

import (
	"maps"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/image-controller/internal/writeback"
	"weir.dev/pkg/git"
)

// memories are what is remembered of objects from run to run, by their UID. Whatever is
// lost of it is found out again. The zero value is empty.
type memories struct {
	mu    sync.Mutex
	byUID map[types.UID]*memory
}

// memory is what is remembered of one object. Its runs use it one after the other.
type memory struct {
	// sight is what the last run that ended well saw; nil if there is none.
	sight *sight
	// message is what Ready says after it.
	message string

	// owed is a commit whose push to the ref that the refspec names failed; zero if there
	// is none.
	owed plumbing.Hash

	template     *writeback.Template
	templateText string

	signer        git.Signer
	signerVersion string // of the Secret that it was made of

	before imagev1.ImageUpdateAutomationStatus // as the present run found it
	did    deed                                // by the present run
}

// sight is all that decides what a run does. If none of it is new, there is nothing to do.
type sight struct {
	generation int64
	merge      string // annotations about pull requests
	remote     string
	from       git.Reference
	policies   imagev1.ObservedPolicies
	known      map[types.NamespacedName]bool
	view       view
}

func (a *sight) equal(b *sight) bool {
	return a != nil && b != nil && a.generation == b.generation && a.merge == b.merge && a.remote == b.remote &&
		a.from == b.from && a.view == b.view && maps.Equal(a.policies, b.policies) && maps.Equal(a.known, b.known)
}

// begin returns what is remembered of an object whose run begins.
func (m *memories) begin(auto *imagev1.ImageUpdateAutomation) *memory {
	own := m.of(auto.UID)
	own.before, own.did = *auto.Status.DeepCopy(), deed{}
	return own
}

func (m *memories) of(uid types.UID) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	own, ok := m.byUID[uid]
	if !ok {
		own = new(memory)
		if m.byUID == nil {
			m.byUID = make(map[types.UID]*memory)
		}
		m.byUID[uid] = own
	}
	return own
}

func (m *memories) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byUID, uid)
}

// parse returns the template of a text.
func (m *memory) parse(text string) (*writeback.Template, error) {
	if m.template != nil && m.templateText == text {
		return m.template, nil
	}
	parsed, err := writeback.Parse(text)
	if err == nil {
		m.template, m.templateText = parsed, text
	}
	return parsed, err
}
