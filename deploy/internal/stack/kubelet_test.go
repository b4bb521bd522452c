package stack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/testplane"
)

// script is a program that tells how it was started, and goes on until it is asked to end.
const script = `#!/bin/sh
trap 'echo ended; exit 0' TERM
echo "args: $*"
echo "namespace: $RUNTIME_NAMESPACE, limit: $GOMEMLIMIT, root: $TUF_ROOT"
grep -q 'token:' "$KUBECONFIG" && echo "knows who it is"
[ -e "$TMPDIR/die" ] && rm "$TMPDIR/die" && exit 1
echo waits
while :; do sleep 0.05; done
`

// node is a kubelet with one Deployment.
type node struct {
	*testplane.Plane
	t          *testing.T
	stack      *stack.Stack
	kubelet    *stack.Kubelet
	deployment *appsv1.Deployment
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{Plane: testplane.Start(t), t: t}
	programs := t.TempDir()
	writeProgram(t, filepath.Join(programs, "source-controller"), script)
	var err error
	if n.stack, err = stack.New(t.TempDir(), programs); err != nil {
		t.Fatal(err)
	}
	if err := n.stack.Connect(n.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stack.Stop(); err != nil {
			t.Error(err)
		}
	})
	n.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "sources"}})
	n.Create(n.newDeployment())
	if n.kubelet, err = n.stack.StartKubelet(t.Context(), n.Namespace); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) newDeployment() *appsv1.Deployment {
	labels := map[string]string{"app": "sources"}
	field := &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}
	limit := &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}}
	n.deployment = &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "sources", Labels: map[string]string{"app.kubernetes.io/part-of": "flux"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{ServiceAccountName: "sources", Containers: []corev1.Container{{
					Name: "manager", Image: "registry.example.com:5000/weir/source-controller:v1",
					Args:      []string{"--storage-path=/data", "--storage-adv-addr=x.$(RUNTIME_NAMESPACE).svc.", "--level=$(NONE)"},
					Env:       []corev1.EnvVar{{Name: "RUNTIME_NAMESPACE", ValueFrom: field}, {Name: "GOMEMLIMIT", ValueFrom: limit}, {Name: "TUF_ROOT", Value: "/tmp/.root"}},
					Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
				}}},
			},
		},
	}
	return n.deployment
}

// log is what the program has printed, or the kubelet.
func (n *node) log(name string) string {
	data, err := os.ReadFile(filepath.Join(n.stack.Dir(), name+".log"))
	if err != nil && !os.IsNotExist(err) {
		n.t.Fatal(err)
	}
	return string(data)
}

// starts waits until the program has been started so often, and runs, or not.
func (n *node) starts(times int, runs bool) {
	n.t.Helper()
	n.Eventually("the program to be started, or to end", func() bool {
		return strings.Count(n.log("sources"), "args: ") == times && (n.kubelet.Program(n.Namespace, "sources") != nil) == runs
	})
}

func TestKubeletRunsWhatTheTemplateSays(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.starts(1, true)
	n.Eventually("all that the program prints", func() bool { return strings.Contains(n.log("sources"), "knows who it is") })
	dir := filepath.Join(n.stack.Dir(), "pods", n.Namespace, "sources")
	for _, want := range []string{
		"args: --storage-path=/data --storage-adv-addr=x." + n.Namespace + ".svc. --level=$(NONE)" +
			" --metrics-addr=0 --health-addr=0 --events-addr= --storage-path=" + dir + "/data --storage-addr=127.0.0.1:0 --storage-adv-addr=\n",
		"namespace: " + n.Namespace + ", limit: 1073741824, root: " + dir + "/tmp/.root\n",
	} {
		if got := n.log("sources"); !strings.Contains(got, want) {
			t.Errorf("the program says\n%s; want\n%s", got, want)
		}
	}
}

// TestKubeletKeepsTheEnvironment: who runs the kubelet has tokens there, and a home with
// more of them, by which controllers would act.
func TestKubeletKeepsTheEnvironment(t *testing.T) {
	t.Setenv("FORGE_TOKEN", "not to be known")
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv("SSL_CERT_FILE", "/authorities.pem")
	t.Setenv("SSL_CERT_DIR", "/authorities")
	n := newNode(t)
	n.starts(1, true)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", n.kubelet.Program(n.Namespace, "sources").PID()))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for variable := range strings.SplitSeq(strings.TrimSuffix(string(environ), "\x00"), "\x00") {
		name, value, _ := strings.Cut(variable, "=")
		got[name] = value
	}
	dir := filepath.Join(n.stack.Dir(), "pods", n.Namespace, "sources")
	want := map[string]string{
		"PATH": "/usr/bin:/bin", "SSL_CERT_FILE": "/authorities.pem", "SSL_CERT_DIR": "/authorities", // as an image has them
		"HOME": dir + "/tmp", "TMPDIR": dir + "/tmp", "KUBECONFIG": dir + "/kubeconfig",
		"RUNTIME_NAMESPACE": n.Namespace, "GOMEMLIMIT": "1073741824", "TUF_ROOT": dir + "/tmp/.root",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment of a program (-want +got):\n%s", diff)
	}
}

func TestKubeletFollowsChanges(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.starts(1, true)
	n.Patch(n.deployment, "test", "metadata: {labels: {a: b}}") // nothing to start anew for
	n.Patch(n.deployment, "test", "spec: {template: {metadata: {annotations: {a: b}}}}")
	n.starts(2, true)
	n.Patch(n.deployment, "test", "spec: {replicas: 0}")
	n.starts(2, false)
	n.Patch(n.deployment, "test", "spec: {replicas: 1}")
	n.starts(3, true)
	if err := n.Client.Delete(t.Context(), n.deployment); err != nil {
		t.Fatal(err)
	}
	n.starts(3, false)
	if got := strings.Count(n.log("sources"), "ended"); got != 3 {
		t.Errorf("the program was asked to end %d times; want each time", got)
	}
}

func TestKubeletStartsAgainWhatEnds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.starts(1, true)
	n.Eventually("the program to be past its beginning", func() bool { return strings.Contains(n.log("sources"), "waits") })
	die := filepath.Join(n.stack.Dir(), "pods", n.Namespace, "sources", "tmp", "die")
	if err := os.WriteFile(die, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.kubelet.Program(n.Namespace, "sources")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	n.starts(3, true) // the second dies at once
	if err := n.stack.Stop(); err != nil {
		t.Fatal(err)
	}
	n.starts(3, false)
}

func TestKubeletTellsWhatItCannotStart(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.starts(1, true)
	n.Patch(n.deployment, "test", `spec: {template: {spec: {containers: [{name: manager, image: "registry.example.com/notification-controller@sha256:00"}]}}}`)
	n.Eventually("the kubelet to tell", func() bool {
		return strings.Contains(n.log("kubelet"), "starting a program") && strings.Contains(n.log("kubelet"), "notification-controller")
	})
	n.starts(1, false)
}
