package soak_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

const (
	helmController = "helm-controller"
	// chartName is that of the chart of all releases, and chartSource of its HelmRepository.
	chartName   = "shop"
	chartSource = "charts"
)

// policy has hooks leave nothing behind.
const policy = `helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded,hook-failed"`

// chartVersions are published at the beginning. Each has something that others do not, and
// each can be broken: an object, a hook, or a test of it is one that the API server refuses.
func chartVersions() map[string]map[string]string {
	settings := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-settings}\ndata: {value: {{ .Values.value | quote }}, chart: {{ .Chart.Version | quote }}}\n"
	account := "{{ if .Values.account }}\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: {{ .Release.Name }}-account}\n{{ end }}\n"
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}-web}\nspec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}\n"
	hook := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n  annotations: {helm.sh/hook: \"pre-install,post-upgrade,post-rollback\", " + policy + "}\n"
	test := strings.Replace(strings.Replace(hook, "-hook\n", "-test\n", 1), "pre-install,post-upgrade,post-rollback", "test", 1)
	broken := "{{ with .Values.broken }}\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Not_A_Name\n" +
		"  {{ if eq . \"hook\" }}annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", " + policy + "}{{ end }}\n" +
		"  {{ if eq . \"test\" }}annotations: {helm.sh/hook: test, " + policy + "}{{ end }}\n{{ end }}\n"
	return map[string]map[string]string{
		"1.0.0": {"templates/settings.yaml": settings, "templates/account.yaml": account, "templates/broken.yaml": broken},
		"1.1.0": {"templates/settings.yaml": settings, "templates/service.yaml": service, "templates/test.yaml": test, "templates/broken.yaml": broken},
		"2.0.0": {"templates/settings.yaml": settings, "templates/account.yaml": account, "templates/hook.yaml": hook, "templates/test.yaml": test, "templates/broken.yaml": broken},
	}
}

// chartOf is the version of the chart that a HelmRelease asks for.
func chartOf(o *object) string {
	return slices.Sorted(maps.Keys(chartVersions()))[o.value%3]
}

// remediates reports whether what fails of a HelmRelease is undone before it is tried again,
// and whether it has tests: so it is with half of them.
func remediates(o *object) bool {
	return o.kind.Kind == helmv2.HelmReleaseKind && o.name[len(o.name)-1]%2 == 0
}

// brokenBy is what the API server refuses of a HelmRelease; "" if nothing is.
func brokenBy(o *object) string {
	if !remediates(o) || o.value%8 != 7 {
		return ""
	}
	return []string{"object", "hook", "test"}[o.value/8%3]
}

// hasAccount reports whether values ask for a ServiceAccount, which not all charts have.
func hasAccount(o *object) bool { return o.value%2 == 0 }

// release is the spec of a HelmRelease. What fails is tried again at once, and without end:
// the API server may have been away.
func release(o *object) map[string]any {
	failing := map[string]any{"strategy": map[string]any{"name": "RetryOnFailure", "retryInterval": "2s"}}
	if remediates(o) {
		failing = map[string]any{"remediation": map[string]any{"retries": int64(-1), "remediateLastFailure": true}}
	}
	return map[string]any{"spec": map[string]any{
		"interval": "6h0m0s",
		"chart": map[string]any{"spec": map[string]any{
			"chart": chartName, "version": chartOf(o), "interval": "6h0m0s",
			"sourceRef": map[string]any{"kind": sourcev1.HelmRepositoryKind, "name": chartSource, "namespace": namespace},
		}},
		"driftDetection": map[string]any{"mode": "enabled"},
		"install":        failing,
		"upgrade":        failing,
		"test":           map[string]any{"enable": remediates(o)},
		"values":         map[string]any{"value": fmt.Sprint(o.value), "account": hasAccount(o), "broken": brokenBy(o)},
	}}
}

// sellCharts publishes the chart.
func (w *world) sellCharts(ctx context.Context) error {
	charts, err := w.StartCharts(ctx)
	if err != nil {
		return err
	}
	for version, files := range chartVersions() {
		if err := charts.Publish(chartName, version, files); err != nil {
			return err
		}
	}
	return w.Client.Create(ctx, &sourcev1.HelmRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: chartSource},
		Spec:       sourcev1.HelmRepositorySpec{URL: charts.URL, Interval: metav1.Duration{Duration: 2 * time.Second}},
	})
}

// releases returns the HelmReleases that Git has.
func (f *fleet) releases() []*object {
	var all []*object
	for _, a := range f.apps {
		for _, o := range a.objects {
			if o.kind.Kind == helmv2.HelmReleaseKind {
				all = append(all, o)
			}
		}
	}
	return all
}

// decideReleased changes or deletes an object of a release by hand.
func (s *soak) decideReleased(c card) action {
	all := s.fleet.releases()
	if len(all) == 0 {
		return action{what: "look for a release, of which there is none", do: func(context.Context) error { return nil }}
	}
	o := all[s.random.IntN(len(all))]
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.space, Name: o.name + "-settings"}}
	if c == removeReleased {
		return action{what: "delete what " + o.id() + " has released", do: func(ctx context.Context) error { return s.Client.Delete(ctx, cm) }}
	}
	patch := []string{
		`{"data":{"value":"by-hand"}}`, `{"data":{"value":null,"more":"by-hand"}}`, `{"metadata":{"labels":{"` + helmv2.LabelName + `":null}}}`,
	}[s.random.IntN(3)]
	return action{what: "patch what " + o.id() + " has released with " + patch, do: func(ctx context.Context) error {
		return s.Client.Patch(ctx, cm, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(byHand))
	}}
}

// releaseDifferences tells which releases are not what their HelmReleases in Git say.
func (s *soak) releaseDifferences(ctx context.Context) ([]string, error) {
	stored, err := s.stored(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, o := range s.fleet.releases() {
		hr := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: o.space, Name: o.name}}
		if err := s.Client.Get(ctx, client.ObjectKeyFromObject(hr), hr); err != nil {
			all = append(all, o.id()+": "+err.Error())
			continue
		}
		if !conditions.IsTrue(hr, meta.ReadyCondition) || hr.Status.ObservedGeneration != hr.Generation {
			all = append(all, fmt.Sprintf("%s is not ready: %s", o.id(), conditions.GetMessage(hr, meta.ReadyCondition)))
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: o.space, Name: o.name + "-settings"}}
		if err := s.Client.Get(ctx, client.ObjectKeyFromObject(cm), cm); err != nil {
			all = append(all, o.id()+": "+err.Error())
		}
		for key, want := range map[string]string{"value": fmt.Sprint(o.value), "chart": chartOf(o)} {
			if cm.Data[key] != want {
				all = append(all, fmt.Sprintf("%s has released the %s %q; want %q", o.id(), key, cm.Data[key], want))
			}
		}
		if remediates(o) && !conditions.IsTrue(hr, helmv2.ConditionTestSuccess) {
			all = append(all, fmt.Sprintf("%s has not passed its tests: %s", o.id(), conditions.GetMessage(hr, helmv2.ConditionTestSuccess)))
		}
		key := o.space + "/" + o.name
		if wrong := notHistory(stored[key]); wrong != "" {
			all = append(all, fmt.Sprintf("%s has the stored releases %v: %s", o.id(), stored[key], wrong))
		}
		delete(stored, key)
	}
	for key, versions := range stored {
		all = append(all, fmt.Sprintf("releases of %s are stored, which Git does not have: %v", key, versions))
	}
	objects, err := s.releasedDifferences(ctx)
	return append(all, objects...), err
}

// releasedDifferences tells which objects of releases are missing, or are there although no
// release that Git has is to have them: those of a failed or an earlier one.
func (s *soak) releasedDifferences(ctx context.Context) ([]string, error) {
	live, err := s.released(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, o := range s.fleet.releases() {
		wanted := []string{"ConfigMap settings"}
		switch {
		case chartOf(o) == "1.1.0":
			wanted = append(wanted, "Service web")
		case hasAccount(o):
			wanted = append(wanted, "ServiceAccount account")
		}
		for _, w := range wanted {
			kind, suffix, _ := strings.Cut(w, " ")
			id := kind + "/" + o.space + "/" + o.name + "-" + suffix
			if !live[id] {
				all = append(all, fmt.Sprintf("%s is missing, or is not said to be of %s", id, o.id()))
			}
			delete(live, id)
		}
	}
	for id := range live {
		all = append(all, id+" is there, but no release is to have it")
	}
	return all, nil
}

// released returns the objects that are said to be of a HelmRelease. What a hook leaves when
// its process is killed is nobody's, as with the helm command.
func (w *world) released(ctx context.Context) (map[string]bool, error) {
	found := make(map[string]bool)
	for kind, list := range map[string]client.ObjectList{
		"ConfigMap": &corev1.ConfigMapList{}, "ServiceAccount": &corev1.ServiceAccountList{}, "Service": &corev1.ServiceList{},
	} {
		if err := w.Client.List(ctx, list, client.HasLabels{helmv2.LabelName}); err != nil {
			return nil, err
		}
		items, err := apimeta.ExtractList(list)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			obj, ok := item.(client.Object)
			if _, hook := obj.GetAnnotations()["helm.sh/hook"]; ok && !hook {
				found[kind+"/"+obj.GetNamespace()+"/"+obj.GetName()] = true
			}
		}
	}
	return found, nil
}

// dropStrays deletes HelmReleases that Git does not have, and that nobody prunes: somebody had
// changed their labels when Git dropped them, so they are left to whoever wanted that, and it
// is him who lets them go.
func (s *soak) dropStrays() {
	s.t.Helper()
	known := make(map[string]bool)
	for _, o := range s.fleet.releases() {
		known[o.space+"/"+o.name] = true
	}
	var list helmv2.HelmReleaseList
	if err := s.Client.List(s.t.Context(), &list); err != nil {
		s.t.Fatal(err)
	}
	for i := range list.Items {
		hr := &list.Items[i]
		pruned := hr.Labels[kustomizev1.LabelName] != "" && hr.Labels[kustomizev1.LabelNamespace] == namespace
		if known[hr.Namespace+"/"+hr.Name] || pruned {
			continue
		}
		s.t.Logf("deleting HelmRelease %s/%s, which was somebody else's when Git dropped it", hr.Namespace, hr.Name)
		if err := s.Client.Delete(s.t.Context(), hr); client.IgnoreNotFound(err) != nil {
			s.t.Fatal(err)
		}
	}
}

// notHistory tells why stored releases, with their statuses by their versions, are none of
// something that goes well.
func notHistory(stored map[int]string) string {
	if len(stored) == 0 {
		return "there is none"
	}
	newest := slices.Max(slices.Collect(maps.Keys(stored)))
	for version, status := range stored {
		switch {
		case strings.HasPrefix(status, "pending"):
			return fmt.Sprintf("version %d is %s", version, status)
		case (status == "deployed") != (version == newest):
			return fmt.Sprintf("version %d is %s, and %d the newest", version, status, newest)
		}
	}
	return ""
}

// stored returns the statuses of the releases that Helm remembers, by namespace and name, and
// by version.
func (w *world) stored(ctx context.Context) (map[string]map[int]string, error) {
	var list corev1.SecretList
	if err := w.Client.List(ctx, &list, client.MatchingLabels{"owner": "helm"}); err != nil {
		return nil, err
	}
	all := make(map[string]map[int]string)
	for _, secret := range list.Items {
		version, err := strconv.Atoi(secret.Labels["version"])
		if err != nil {
			return nil, err
		}
		key := secret.Namespace + "/" + secret.Labels["name"]
		if all[key] == nil {
			all[key] = make(map[int]string)
		}
		all[key][version] = secret.Labels["status"]
	}
	return all, nil
}

// releasesLeft tells what is left of releases.
func (w *world) releasesLeft(ctx context.Context) string {
	var hrs helmv2.HelmReleaseList
	var charts sourcev1.HelmChartList
	for _, list := range []client.ObjectList{&hrs, &charts} {
		if err := w.Client.List(ctx, list); err != nil {
			return err.Error()
		}
	}
	objects, err := w.released(ctx)
	if err != nil {
		return err.Error()
	}
	stored, err := w.stored(ctx)
	if err != nil {
		return err.Error()
	}
	return left(helmv2.HelmReleaseKind, len(hrs.Items), "") + left(sourcev1.HelmChartKind, len(charts.Items), "") +
		left("released object", len(objects), strings.Join(slices.Sorted(maps.Keys(objects)), " ")) + left("stored release", len(stored), fmt.Sprint(stored))
}
