package verb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/install"
)

const (
	// lineLimit is how long a line of a log may be, in bytes.
	lineLimit = 1 << 20
	// linesAhead is how many lines of a pod are read before they are printed.
	linesAhead = 64
)

// logs shows what controllers logged.
type logs struct {
	controllers string // namespace
	everywhere  bool
	follow      bool
	level       string
	kind        string
	name        string
	tail        int64
	since       time.Duration
	sinceTime   string
}

func newLogs(s *session.Session) *cobra.Command {
	l := &logs{}
	cmd := &cobra.Command{
		Use: "logs", Short: "Show what controllers logged", Args: cobra.NoArgs,
		Example: `  weir logs -A --level error --since 1h
  weir logs --kind Kustomization --name apps -f`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context(), s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.controllers, "flux-namespace", session.DefaultNamespace, "the namespace of the controllers")
	flags.BoolVarP(&l.everywhere, "all-namespaces", "A", false, "of objects of all namespaces, and of none")
	flags.BoolVarP(&l.follow, "follow", "f", false, "go on, and show what is logged next")
	flags.StringVar(&l.level, "level", "", "only of this level: debug, info or error")
	flags.StringVar(&l.kind, "kind", "", "only of objects of this kind")
	flags.StringVar(&l.name, "name", "", "only of objects of this name")
	flags.Int64Var(&l.tail, "tail", -1, "only so many of the last lines of each controller")
	flags.DurationVar(&l.since, "since", 0, "only what is newer than this: 5s, 2m, 3h")
	flags.StringVar(&l.sinceTime, "since-time", "", "only what is newer than this time (RFC3339)")
	return cmd
}

func (l *logs) run(ctx context.Context, s *session.Session) error {
	options, err := l.options()
	if err != nil {
		return err
	}
	h, err := newHand(s)
	if err != nil {
		return err
	}
	if !l.follow {
		var cancel context.CancelFunc
		ctx, cancel = s.Context(ctx)
		defer cancel()
	}
	pods, err := l.pods(ctx, h)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return session.Hint(fmt.Errorf("no controllers run in namespace %q", l.controllers), "name another namespace by --flux-namespace, or see what is wrong: weir check")
	}
	if l.follow {
		return l.tailAll(ctx, h, pods, options)
	}
	return l.printAll(ctx, h, pods, options)
}

// options are those of the log of one container.
func (l *logs) options() (*corev1.PodLogOptions, error) {
	o := &corev1.PodLogOptions{Container: manager, Follow: l.follow}
	if l.kind != "" {
		k, ok := kinds.Find(l.kind)
		if !ok {
			return nil, fmt.Errorf("there is no kind %q", l.kind)
		}
		l.kind = k.GVK.Kind
	}
	if !slices.Contains([]string{"", "debug", "info", "error"}, l.level) {
		return nil, fmt.Errorf("there is no level %q: take debug, info or error", l.level)
	}
	if l.tail >= 0 {
		o.TailLines = &l.tail
	}
	switch {
	case l.since != 0 && l.sinceTime != "":
		return nil, errors.New("--since and --since-time exclude each other")
	case l.since < 0:
		return nil, errors.New("--since is how long ago, and cannot be negative")
	case l.since > 0:
		seconds := max(1, int64(l.since.Round(time.Second)/time.Second))
		o.SinceSeconds = &seconds
	case l.sinceTime != "":
		t, err := time.Parse(time.RFC3339, l.sinceTime)
		if err != nil {
			return nil, fmt.Errorf("--since-time %q is no time of the form %s", l.sinceTime, time.RFC3339)
		}
		at := metav1.NewTime(t)
		o.SinceTime = &at
	}
	return o, nil
}

// pods returns those of the controllers.
func (l *logs) pods(ctx context.Context, h *hand) ([]corev1.Pod, error) {
	in := client.InNamespace(l.controllers)
	var deployments appsv1.DeploymentList
	if err := h.client.List(ctx, &deployments, in, client.MatchingLabels{install.LabelPartOf: install.PartOf}); err != nil {
		return nil, fmt.Errorf("listing the controllers: %w", err)
	}
	var all []corev1.Pod
	for _, d := range deployments.Items {
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err != nil {
			return nil, err
		}
		var pods corev1.PodList
		if err := h.client.List(ctx, &pods, in, client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, fmt.Errorf("listing the pods of %s: %w", d.Name, err)
		}
		all = append(all, pods.Items...)
	}
	return all, nil
}

// open returns the log of a pod.
func open(ctx context.Context, h *hand, pod corev1.Pod, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	r, err := h.reader.REST.Get().AbsPath("api", "v1").Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("log").
		SpecificallyVersionedParams(options, scheme.ParameterCodec, corev1.SchemeGroupVersion).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the log of pod %s: %w", pod.Name, err)
	}
	return r, nil
}

// printAll prints the lines of all pods in the order of time, of which no more are kept than
// one of each pod and some on the way: each pod has its own in order. A pod whose log cannot
// be read does not keep those of others back.
func (l *logs) printAll(ctx context.Context, h *hand, pods []corev1.Pod, options *corev1.PodLogOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends streams that nobody reads any more
	var errs []error
	var open []*logStream
	next := func(s *logStream) bool {
		line, more := <-s.lines
		if s.head = line; !more {
			errs = append(errs, s.err)
		}
		return more
	}
	streams := make([]*logStream, len(pods))
	for i, pod := range pods {
		streams[i] = l.stream(ctx, h, pod, options)
	}
	for _, s := range streams {
		if next(s) {
			open = append(open, s)
		}
	}
	for len(open) > 0 {
		first := slices.MinFunc(open, func(a, b *logStream) int { return strings.Compare(a.head.Time, b.head.Time) })
		if _, err := fmt.Fprintln(h.Out, first.head); err != nil {
			return err
		}
		if !next(first) {
			open = slices.DeleteFunc(open, func(s *logStream) bool { return s == first })
		}
	}
	return errors.Join(errs...)
}

// logStream are the lines of a pod.
type logStream struct {
	lines chan logLine
	head  logLine // the first that is not printed
	err   error   // why there are no more, once lines is closed
}

// stream reads the lines of a pod until ctx ends.
func (l *logs) stream(ctx context.Context, h *hand, pod corev1.Pod, options *corev1.PodLogOptions) *logStream {
	s := &logStream{lines: make(chan logLine, linesAhead)}
	namespace := h.Namespace()
	go func() {
		defer close(s.lines)
		var r io.ReadCloser
		if r, s.err = open(ctx, h, pod, options); s.err != nil {
			return
		}
		defer r.Close()
		s.err = scan(r, func(text []byte) error {
			line, ok := l.line(text, namespace)
			if !ok {
				return nil
			}
			select {
			case s.lines <- line:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	return s
}

// scan gives take one line after the other.
func scan(r io.Reader, take func([]byte) error) error {
	in := bufio.NewReaderSize(r, lineLimit)
	for {
		text, err := readLine(in)
		if len(text) > 0 {
			if err := take(text); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine returns the next line, and nothing in the place of one that is longer than the
// buffer of in.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return nil, err
}

// line reads a line, and reports whether it is asked for by one who works in a namespace.
func (l *logs) line(text []byte, namespace string) (logLine, bool) {
	line, ok := parseLine(text)
	return line, ok && l.wanted(line, namespace)
}

// wanted reports whether a line is asked for, by one who works in a namespace. A line that
// says nothing of what it is about is, where everything is.
func (l *logs) wanted(line logLine, namespace string) bool {
	return (l.level == "" || line.Level == l.level) &&
		(l.kind == "" || line.kind() == l.kind) &&
		(l.name == "" || line.Name == l.name) &&
		(l.everywhere || line.Namespace == namespace)
}

// logLine is what controllers write, a line each.
type logLine struct {
	Time           string `json:"ts"`
	Level          string `json:"level"`
	Message        string `json:"msg"`
	Error          string `json:"error"`
	ControllerKind string `json:"controllerKind"`
	ReconcilerKind string `json:"reconciler kind"` // of older ones
	Name           string `json:"name"`
	Namespace      string `json:"namespace"`

	// text is a line that was written by somebody else: of nothing else is anything known.
	text string
}

// parseLine reads a line, if there is something in it. What is not as controllers write it is
// kept as it is: the Go runtime says so why a program ends.
func parseLine(data []byte) (logLine, bool) {
	var line logLine
	if err := json.Unmarshal(data, &line); err != nil || line.Message == "" && line.Error == "" {
		text := strings.TrimRight(string(data), "\r\n")
		return logLine{text: text}, strings.TrimSpace(text) != ""
	}
	return line, true
}

func (l logLine) kind() string {
	if l.ControllerKind != "" {
		return l.ControllerKind
	}
	return l.ReconcilerKind
}

// String returns the line as people read it.
func (l logLine) String() string {
	if l.text != "" {
		return l.text
	}
	parts := []string{l.Time, l.Level}
	if l.Name != "" {
		object := l.kind() + "/" + l.Name
		if l.Namespace != "" {
			object += "." + l.Namespace
		}
		parts = append(parts, object)
	}
	parts = append(parts, "-", l.Message)
	if l.Error != "" {
		parts = append(parts, l.Error)
	}
	return strings.Join(parts, " ")
}
