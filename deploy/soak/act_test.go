package soak_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

const (
	// byHand is the field manager of what people change.
	byHand = "night-shift"
	// actionTimeout bounds an action: the API server may be away.
	actionTimeout = 3 * time.Second
	// mostAway is how long a controller that was killed is away at most.
	mostAway = 1500 * time.Millisecond
	// lastActions is how many a failure tells.
	lastActions = 40
)

// card is something that is done now and then.
type card string

const (
	commit        card = "commit"
	commitAll     card = "commit to all"
	edit          card = "edit"
	remove        card = "delete"
	poke          card = "ask for a run"
	killKustomize card = "kill " + kustomizeController
	killSource    card = "kill " + sourceController
	killHelm      card = "kill " + helmController
	killServer    card = "kill the API server"

	editReleased   card = "edit what was released"
	removeReleased card = "delete what was released"
)

// deck is how often each is done before all is done again.
func deck() map[card]int {
	return map[card]int{commit: 30, commitAll: 1, edit: 20, remove: 12, poke: 4, killKustomize: 4, killSource: 3, killHelm: 4, killServer: 1, editReleased: 6, removeReleased: 4}
}

// soak is a world and the people in it.
type soak struct {
	*world
	fleet  *fleet
	random *rand.Rand
	repos  []*gitserver.Repo
	heads  [repositories]string
	cards  []card

	began time.Time
	done  []string
	count map[card]int
	vain  int // actions that the cluster refused, or that came too late
}

// action is what is done next. It was decided without a look at the cluster.
type action struct {
	card card
	what string
	do   func(context.Context) error
}

// next decides what to do, and how long to wait then.
func (s *soak) next() (action, time.Duration) {
	if len(s.cards) == 0 {
		all := deck()
		for _, c := range slices.Sorted(maps.Keys(all)) {
			s.cards = append(s.cards, slices.Repeat([]card{c}, all[c])...)
		}
		s.random.Shuffle(len(s.cards), func(i, j int) { s.cards[i], s.cards[j] = s.cards[j], s.cards[i] })
	}
	c := s.cards[0]
	s.cards = s.cards[1:]
	a := s.decide(c)
	a.card = c
	return a, time.Duration(s.random.Int64N(int64(mostPause)))
}

func (s *soak) decide(c card) action {
	switch c {
	case commit, commitAll:
		return s.decideCommit(c)
	case edit:
		return s.decideEdit()
	case remove:
		return s.decideRemove()
	case editReleased, removeReleased:
		return s.decideReleased(c)
	case poke:
		ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: s.fleet.any().name}}
		return action{what: "ask for a run of " + ks.Name, do: func(ctx context.Context) error { return s.poke(ctx, ks) }}
	case killServer:
		return action{what: string(c), do: s.killAPIServer}
	default:
		name := map[card]string{killKustomize: kustomizeController, killSource: sourceController, killHelm: helmController}[c]
		away := time.Duration(s.random.Int64N(int64(mostAway)))
		return action{what: fmt.Sprintf("kill %s, for %s", name, away), do: func(context.Context) error {
			s.keepers[name].kill(away)
			return nil
		}}
	}
}

func (s *soak) decideCommit(c card) action {
	repo, some := s.random.IntN(repositories), 1+s.random.IntN(5)
	if c == commitAll {
		some = len(s.fleet.apps)
	}
	tell := s.random.IntN(2) == 0
	changes := s.fleet.change(repo, some)
	return action{what: fmt.Sprintf("commit %d changes to %s", len(changes), repoName(repo)), do: func(ctx context.Context) error {
		head, err := s.repos[repo].Commit(branch, "Change", changes...)
		if err != nil {
			s.t.Errorf("committing to %s: %v", repoName(repo), err)
			return err
		}
		s.heads[repo] = head
		if !tell {
			return nil
		}
		return s.poke(ctx, &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: repoName(repo)}})
	}}
}

// decideEdit changes an object by hand: once, or again and again.
func (s *soak) decideEdit() action {
	o := s.fleet.anyObject()
	patch := []string{
		o.kind.edit, o.kind.edit,
		`{"metadata":{"labels":{"` + valueLabel + `":"by-hand"}}}`,
		`{"metadata":{"labels":{"` + kustomizev1.LabelName + `":null}}}`,
		`{"metadata":{"labels":{"` + kustomizev1.LabelNamespace + `":"elsewhere"},"annotations":{"note":"by-hand"}}}`,
	}[s.random.IntN(5)]
	times := 1
	if s.random.IntN(4) == 0 {
		times = 4
	}
	return action{what: fmt.Sprintf("patch %s %d times with %s", o.id(), times, patch), do: func(ctx context.Context) error {
		for range times {
			if err := s.Client.Patch(ctx, o.reference(), client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(byHand)); err != nil {
				return err
			}
		}
		return nil
	}}
}

// decideRemove deletes some objects by hand.
func (s *soak) decideRemove() action {
	var objects []*object
	var ids []string
	for range 1 + s.random.IntN(4) {
		o := s.fleet.anyObject()
		objects, ids = append(objects, o), append(ids, o.id())
	}
	return action{what: "delete " + strings.Join(ids, ", "), do: func(ctx context.Context) error {
		for _, o := range objects {
			if err := s.Client.Delete(ctx, o.reference(), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
				return err
			}
		}
		return nil
	}}
}

// reference is the object without content.
func (o *object) reference() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(o.kind.GroupVersionKind)
	u.SetNamespace(o.space)
	u.SetName(o.name)
	return u
}

func (s *soak) poke(ctx context.Context, obj client.Object) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, meta.ReconcileRequestAnnotation, time.Now().UnixNano())
	return s.Client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(byHand))
}

// act does what comes next. That the cluster refuses it is part of the game.
func (s *soak) act() {
	a, pause := s.next()
	ctx, cancel := context.WithTimeout(s.t.Context(), actionTimeout)
	defer cancel()
	line := fmt.Sprintf("%8s %s", time.Since(s.began).Round(time.Millisecond), a.what)
	if err := a.do(ctx); err != nil {
		s.vain++
		line += ": in vain: " + err.Error()
	}
	s.count[a.card]++
	s.done = append(s.done, line)
	select {
	case <-time.After(pause):
	case <-s.t.Context().Done():
	}
}

func (s *soak) summary() string {
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(s.count)) {
		parts = append(parts, fmt.Sprintf("%s %d", c, s.count[c]))
	}
	return fmt.Sprintf("%s; %d in vain", strings.Join(parts, ", "), s.vain)
}

func (s *soak) last() string {
	return strings.Join(s.done[max(0, len(s.done)-lastActions):], "\n")
}

// begin makes the repositories, and what follows them, and waits until all is applied.
func (s *soak) begin() {
	s.t.Helper()
	s.count = make(map[card]int)
	for i := range repositories {
		repo, url, err := s.Repository(repoName(i))
		if err != nil {
			s.t.Fatal(err)
		}
		var files []gitserver.Change
		for _, a := range s.fleet.apps {
			if a.repo != i {
				continue
			}
			for _, o := range a.objects {
				files = append(files, o.file(a))
			}
		}
		if s.heads[i], err = repo.Commit(branch, "Begin", files...); err != nil {
			s.t.Fatal(err)
		}
		s.repos = append(s.repos, repo)
		s.create(&sourcev1.GitRepository{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: repoName(i)},
			Spec: sourcev1.GitRepositorySpec{
				URL: url, Interval: metav1.Duration{Duration: 2 * time.Second}, Reference: &sourcev1.GitRepositoryRef{Branch: branch},
			},
		})
	}
	if err := s.sellCharts(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	for _, a := range s.fleet.apps {
		s.create(a.kustomization())
	}
	s.waitEqual()
	s.began = time.Now()
}

// kustomization is that of an application. Its interval is so long that nothing but
// being told can make it right in time.
func (a *app) kustomization() *kustomizev1.Kustomization {
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.name},
		Spec: kustomizev1.KustomizationSpec{
			SourceRef:     kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: repoName(a.repo)},
			Path:          "./" + a.path(),
			Interval:      metav1.Duration{Duration: 6 * time.Hour},
			RetryInterval: &metav1.Duration{Duration: 2 * time.Second},
			Timeout:       &metav1.Duration{Duration: time.Minute},
			Prune:         true,
			Wait:          a.wait,
		},
	}
	if a.after != "" {
		ks.Spec.DependsOn = []meta.DependencyReference{{Name: a.after}}
	}
	return ks
}

func repoName(i int) string { return fmt.Sprintf("repo-%d", i) }

func (s *soak) create(obj client.Object) {
	s.t.Helper()
	if err := s.Client.Create(s.t.Context(), obj); err != nil {
		s.t.Fatal(err)
	}
}
