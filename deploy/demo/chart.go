package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/deploy/internal/stack"
)

// Objects that release the chart of the demo's registry.
const chartObjects = `apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: shop, namespace: flux-system}
spec:
  interval: 1m
  url: "oci://HOST/charts/shop"
  insecure: true
  ref: {semver: "1.x"}
  layerSelector: {mediaType: application/vnd.cncf.helm.chart.content.v1.tar+gzip, operation: copy}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: flux-system}
spec:
  interval: 10m
  chartRef: {kind: OCIRepository, name: shop}
  releaseName: shop
  targetNamespace: my-app
  driftDetection: {mode: enabled}
  values: {replicas: 2}
`

const (
	chartName    = "shop"
	firstChart   = "1.0.0"
	nextChart    = "1.1.0"
	chartConfig  = types.MediaType("application/vnd.cncf.helm.config.v1+json")
	chartContent = types.MediaType("application/vnd.cncf.helm.chart.content.v1.tar+gzip")
)

// shopFiles is the files of the chart.
func shopFiles() map[string]string {
	return map[string]string{
		"values.yaml": "replicas: 1\n",
		"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: shop, image: "registry.example.com/shop:{{ .Chart.AppVersion }}"}]}
`,
		"templates/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}\n",
	}
}

// pushChart pushes the chart to the registry, as the helm command does.
func (w *world) pushChart(ctx context.Context, version string) error {
	packed, err := stack.PackChart(chartName, version, shopFiles())
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(packed, chartContent))
	if err != nil {
		return err
	}
	image = mutate.MediaType(mutate.ConfigMediaType(image, chartConfig), types.OCIManifestSchema1)
	annotated, ok := mutate.Annotations(image, map[string]string{"org.opencontainers.image.title": chartName}).(v1.Image)
	if !ok {
		return errors.New("annotating a chart made something else of it")
	}
	ref, err := name.ParseReference(w.registry+"/charts/"+chartName+":"+version, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(ref, annotated, remote.WithContext(ctx))
}

// installChart pushes a chart and applies what releases it, and waits until its app runs.
func (s *story) installChart(ctx context.Context) (string, error) {
	if err := s.pushChart(ctx, firstChart); err != nil {
		return "", err
	}
	for text := range strings.SplitSeq(strings.ReplaceAll(chartObjects, "HOST", s.registry), "---\n") {
		obj, err := decode(text)
		if err != nil {
			return "", err
		}
		if err := s.Client.Create(ctx, obj); err != nil {
			return "", err
		}
	}
	d := shop()
	if err := s.Until(ctx, d, func() bool { return d.Status.AvailableReplicas == 2 }); err != nil {
		return "", err
	}
	return s.waitReleased(ctx, firstChart)
}

// upgradeChart pushes the next version of the chart.
func (s *story) upgradeChart(ctx context.Context) (string, error) {
	if err := s.pushChart(ctx, nextChart); err != nil {
		return "", err
	}
	repo := releases()
	repo.Name = chartName
	if err := s.ask(ctx, repo); err != nil {
		return "", err
	}
	d := shop()
	if err := s.Until(ctx, d, func() bool { return image(d) == "registry.example.com/shop:"+nextChart && current(d) }); err != nil {
		return "", err
	}
	return s.waitReleased(ctx, nextChart)
}

// driftChart changes a field of an object of the release by hand.
func (s *story) driftChart(ctx context.Context) (string, error) {
	before, err := s.revisions(ctx)
	if err != nil {
		return "", err
	}
	d := shop()
	if err := s.Client.Patch(ctx, d, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":5}}`)), client.FieldOwner("day-shift")); err != nil {
		return "", err
	}
	if *d.Spec.Replicas != 5 {
		return "", errors.New("the change by hand was not accepted")
	}
	if err := s.Until(ctx, d, func() bool { return *d.Spec.Replicas == 2 }); err != nil {
		return "", err
	}
	told, err := s.event(ctx, "day-shift")
	if err != nil {
		return "", err
	}
	after, err := s.revisions(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("there are %d stored releases; before there were %d", after, before)
	}
	return told, err
}

// revisions returns how many releases Helm remembers.
func (s *story) revisions(ctx context.Context) (int, error) {
	var list corev1.SecretList
	err := s.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"owner": "helm", "name": chartName})
	return len(list.Items), err
}

// waitReleased waits until a version of the chart is released, and returns what is said of it.
func (s *story) waitReleased(ctx context.Context, version string) (string, error) {
	hr := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: chartName}}
	err := s.Until(ctx, hr, func() bool {
		return len(hr.Status.History) > 0 && strings.HasPrefix(hr.Status.History[0].ChartVersion, version) && conditions.IsTrue(hr, meta.ReadyCondition)
	})
	return conditions.GetMessage(hr, meta.ReadyCondition), err
}

func shop() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: appSpace, Name: chartName}}
}
