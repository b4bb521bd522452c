package helmrelease

import (
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
)

// scope is what one run knows.
type scope struct {
	hr     *helmv2.HelmRelease
	owner  types.NamespacedName
	memory *memory
	woken  time.Time // when a watch asked for this run; zero if none did

	expressions *expressions   // by compileExpressions
	source      chartSource    // by findSource
	artifact    *meta.Artifact // by findSource
	values      map[string]any // by composeValues
	sensitive   []string       // by composeValues: what of values must not be shown
	config      string         // by composeValues: the digest of values
	chart       chartFacts     // by readChart
	at          *tenant.Place  // by enterPlace: where the release is

	history   *releases.History // by takeUp: the storage as an action has left it; nil if none has ended
	historyOf string            // of which release
	historyAt *tenant.Place     // and in which cluster, as whom
	recovered bool              // by goOn: the history has what was not recorded at its time
	unsaved   bool              // the status has what must not be lost
	claimed   []func()          // to be called at the end of the run: others may be at these releases again
}

// scope begins a run.
func (r *Reconciler) scope(hr *helmv2.HelmRelease) *scope {
	owner := client.ObjectKeyFromObject(hr)
	return &scope{hr: hr, owner: owner, memory: r.known.of(hr), woken: r.wakes.Take(owner)}
}

// end ends a run.
func (s *scope) end() {
	for _, free := range s.claimed {
		free()
	}
}

// object identifies what the run is about.
func (s *scope) object() object { return object{NamespacedName: s.owner, uid: s.hr.UID} }

// memory is what is kept of a HelmRelease between runs. Only one run of an object is under
// way at a time, and a job knows nothing of it.
type memory struct {
	of          types.UID
	expressions *expressions
	applied     chartApplied // the HelmChart
	chart       chartFacts

	observed observe.Memory // the release
	looked   bool           // the release was found by this process, and nobody was at it
	locked   time.Time      // since when somebody else is; zero if nobody is
	pass     pass
	fight    fight // about the release
	warned   int64 // the generation of which ignored fields were told
	work     *work // the action that is under way, or whose outcome is yet to be saved; nil if there is none

	// What is yet to be told in events.
	told []loop.Event
}

// tell has an event published at the end of the run.
func (m *memory) tell(e loop.Event) { m.told = append(m.told, e) }

// settle tells that the status is saved, and with it the outcome of the last action.
func (m *memory) settle() {
	if w := m.work; w != nil && w.concluded {
		m.work = nil
		w.job.takenUp()
	}
}

// memories holds the memory of each HelmRelease. The zero value is ready.
type memories struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]*memory
}

// of returns the memory of a HelmRelease, which is none of another that had its name before.
func (m *memories) of(hr *helmv2.HelmRelease) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept, ok := m.byName[keyOf(hr)]
	if !ok || kept.of != hr.UID {
		if m.byName == nil {
			m.byName = make(map[types.NamespacedName]*memory)
		}
		kept = &memory{of: hr.UID}
		m.byName[keyOf(hr)] = kept
	}
	return kept
}

func (m *memories) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byName, name)
}
