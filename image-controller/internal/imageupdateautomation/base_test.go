package imageupdateautomation

import "testing"

func TestDecide(t *testing.T) {
	t.Parallel()
	lacking := facts{mayForce: true, wanted: true, stale: true, ours: true}
	tests := map[string]struct {
		why    string
		change func(*facts)
		want   base
	}{
		"a branch of ours that is behind":                {why: "people review it on what they merge it into", change: func(*facts) {}, want: onStart},
		"one that has what is wanted":                    {why: "who reviews it is not disturbed", change: func(f *facts) { f.held = true }, want: onTip},
		"one that is not behind":                         {why: "a commit on top needs no force", change: func(f *facts) { f.stale = false }, want: onTip},
		"one with a commit of somebody else":             {why: "no commit of a person is lost", change: func(f *facts) { f.ours = false }, want: onTip},
		"nothing wanted of what to start from":           {why: "there is nothing to put on it", change: func(f *facts) { f.wanted = false }, want: onTip},
		"with the feature gate GitForcePushBranch off":   {why: "that is what it is for", change: func(f *facts) { f.mayForce = false }, want: onTip},
		"behind, and of somebody else, and nothing held": {why: "adding to it is all that is safe", change: func(f *facts) { f.ours, f.held = false, false }, want: onTip},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := lacking
			tc.change(&f)
			if got := decide(f); got != tc.want {
				t.Errorf("decide(%+v) = %d; want %d (%s)", f, got, tc.want, tc.why)
			}
		})
	}
}
