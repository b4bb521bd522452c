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
}

// scope begins a run.
func (r *Reconciler) scope(hr *helmv2.HelmRelease) *scope {
	owner := client.ObjectKeyFromObject(hr)
	return &scope{hr: hr, owner: owner, memory: r.known.of(hr.UID), woken: r.wakes.Take(owner)}
}

// object identifies what the run is about.
func (s *scope) object() object { return object{NamespacedName: s.owner, uid: s.hr.UID} }

// memory is what is kept of a HelmRelease between runs. Only one run of an object is under
// way at a time, and a job knows nothing of it.
type memory struct {
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

// memories holds the memory of each HelmRelease.
type memories struct {
	mu    sync.Mutex
	byUID map[types.UID]*memory
}

func (m *memories) of(uid types.UID) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.byUID[uid]; !ok {
		m.byUID[uid] = &memory{}
	}
	return m.byUID[uid]
}

func (m *memories) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byUID, uid)
}
