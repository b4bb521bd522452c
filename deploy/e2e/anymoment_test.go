package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	// momentKills is how often the controller is killed.
	momentKills = 15
	// momentRequests bounds how many requests a controller may make before its end
	// is near, and momentDelay how near it is.
	momentRequests = 40
	momentDelay    = 100 * time.Millisecond
)

// TestKillAtAnyMoment kills kustomize-controller again and again, while revisions go
// on, with as many requests under way as it likes.
func TestKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	w := newPublisher(t)
	w.tellers = append(w.tellers, func() { t.Logf("the random numbers are of seed %d", seed) })
	made := w.bystanders("app")
	ks := w.kustomization("app", ids(made)...)

	var wanted revision
	var commit string
	publish := func() {
		wanted = anyRevision(random, w.Namespace, w.revision+1)
		commit = w.publish(wanted.files())
	}
	converged := 0
	for range momentKills {
		publish()
		p := w.startBehind(w.startKustomize, fault{})
		enough := 1 + random.IntN(momentRequests)
		w.Wait("the controller at work, or done", ks, func() bool { return p.count() >= enough || applied(ks, commit) })
		if applied(ks, commit) {
			converged++
		}
		if random.IntN(2) == 0 {
			publish()
		}
		w.pass(time.Duration(random.Int64N(int64(momentDelay))), p.killed)
		w.kill(p.program)
		p.kill() // waits for what it has under way
		w.checkNothingOrphaned(ks)
		w.checkUntouched(made)
	}
	t.Logf("%d kills, %d revisions; %d controllers had nothing to do when they were killed", momentKills, w.revision, converged)

	w.startKustomize()
	w.handled(ks)
	w.waitApplied(ks, commit)
	w.checkApplied(ks, wanted)
	w.checkUntouched(made)
}

// anyRevision returns some of a dozen objects, most of which have a new value.
func anyRevision(random *rand.Rand, space string, number int) revision {
	r := revision{{kind: "ConfigMap", space: space, name: "always", value: fmt.Sprint(number)}}
	for i := range 12 {
		switch random.IntN(3) {
		case 0:
			r = append(r, object{kind: "ConfigMap", space: space, name: fmt.Sprintf("some-%d", i), value: fmt.Sprint(number)})
		case 1:
			r = append(r, object{kind: "ServiceAccount", space: space, name: fmt.Sprintf("some-%d", i)})
		}
	}
	return r
}
