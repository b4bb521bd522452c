package golden

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"weir.dev/deploy/cli/internal/session"
)

// followTimeout bounds the wait for what is followed.
const followTimeout = time.Minute

// commands are those of scripts.
func (w *World) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"weir":   weir,
		"exits":  exits,
		"input":  plain(func(r *run, ts *testscript.TestScript, args []string) { r.input = ts.ReadFile(args[0]) }),
		"follow": plain(follow),
		"until":  plain(until),
		"end":    plain(end),
		"apply":  plain(applyFiles),
		"patch":  plain(patch),
		"delete": plain(deleteObject),
		"await":  plain(waitFor),
		"commit": plain(commit),
		"chart":  plain(publishChart),
		"image":  plain(pushImages),
	}
}

// runOf returns what is known of the script.
func runOf(ts *testscript.TestScript) *run { return ts.Value(runKey{}).(*run) }

// plain is a command that cannot be expected to fail.
func plain(do func(*run, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("only weir can be expected to fail")
		}
		do(runOf(ts), ts, args)
	}
}

// weir runs the command under test.
func weir(ts *testscript.TestScript, neg bool, args []string) {
	r := runOf(ts)
	var out, err bytes.Buffer
	r.code = r.call(context.Background(), ts, &out, &err, args)
	clean := r.cleaner(ts)
	if _, lost := ts.Stdout().Write([]byte(clean(out.String()))); lost != nil {
		ts.Fatalf("%v", lost)
	}
	if _, lost := ts.Stderr().Write([]byte(clean(err.String()))); lost != nil {
		ts.Fatalf("%v", lost)
	}
	if (r.code != 0) != neg {
		ts.Fatalf("weir ended with %d\n%s%s", r.code, out.String(), err.String())
	}
}

// call runs the command in a session of the script.
func (r *run) call(ctx context.Context, ts *testscript.TestScript, out, err io.Writer, args []string) int {
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--kubeconfig") }) {
		args = append([]string{"--kubeconfig", r.world.Kubeconfig}, args...)
	}
	args = append([]string{"--cache-dir", r.world.cache}, args...)
	s := session.New(session.Streams{In: strings.NewReader(r.input), Out: out, Err: err}, ts.Getenv)
	r.input = ""
	return r.world.command(ctx, s, args)
}

// exits compares the exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if got := strconv.Itoa(runOf(ts).code); len(args) != 1 || (got == args[0]) == neg {
		ts.Fatalf("weir ended with %s", got)
	}
}

// followed is a command in the background.
type followed struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (f *followed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.Write(p)
}

// printed returns what was printed so far.
func (f *followed) printed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.String()
}

func follow(r *run, ts *testscript.TestScript, args []string) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &followed{cancel: cancel, ended: make(chan struct{})}
	r.followed = f
	ts.Defer(cancel)
	go func() {
		defer close(f.ended)
		r.call(ctx, ts, f, f, args)
	}()
}

func until(r *run, ts *testscript.TestScript, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if err := poll(func(context.Context) (bool, error) { return want.MatchString(r.followed.printed()), nil }); err != nil {
		ts.Fatalf("waiting until what is followed matches %s: %v; it has printed:\n%s", args[0], err, r.followed.printed())
	}
}

func end(r *run, ts *testscript.TestScript, _ []string) {
	r.followed.cancel()
	select {
	case <-r.followed.ended:
	case <-time.After(followTimeout):
		ts.Fatalf("what is followed does not end")
	}
	_, err := ts.Stdout().Write([]byte(r.cleaner(ts)(r.followed.printed())))
	ts.Check(err)
}
