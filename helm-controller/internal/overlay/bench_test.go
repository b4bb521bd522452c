package overlay_test

import (
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/overlay"
)

// application is what a chart of a usual size renders: ten Deployments with Services.
func application() map[string]string {
	templates := map[string]string{}
	for i := range 10 {
		templates[fmt.Sprintf("%d.yaml", i)] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%[1]d
  labels:
    app.kubernetes.io/name: app
    app.kubernetes.io/instance: "%[1]d"
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/instance: "%[1]d"
  template:
    metadata:
      labels:
        app.kubernetes.io/instance: "%[1]d"
      annotations:
        checksum/config: 56997fcde1904b5e8cafa67ccd80feac11034ccb2b233128ef46b06e05f76f06
    spec:
      serviceAccountName: app
      containers:
        - name: app
          image: registry.example.com/app:1.2.3
          args: ["--listen=:8080", "--verbose"]
          env:
            - name: A
              value: "1"
            - name: B
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
          ports:
            - {name: http, containerPort: 8080}
          resources:
            requests: {cpu: 10m, memory: 16Mi}
          readinessProbe:
            httpGet: {path: /healthz, port: http}
---
apiVersion: v1
kind: Service
metadata:
  name: app-%[1]d
spec:
  selector:
    app.kubernetes.io/instance: "%[1]d"
  ports:
    - {name: http, port: 80, targetPort: http}
`, i)
	}
	return templates
}

func BenchmarkOwnerLabels(b *testing.B) { benchmark(b, overlay.Spec{}) }

func BenchmarkPostRenderer(b *testing.B) {
	benchmark(b, overlay.Spec{PostRenderers: []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{
		Images:  []kustomize.Image{{Name: "registry.example.com/app", NewTag: "2"}},
		Patches: []kustomize.Patch{{Patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: app-1}, spec: {replicas: 3}}"}},
	}}}})
}

func benchmark(b *testing.B, spec overlay.Spec) {
	templates := application()
	must(b, spec, templates) // which parses what is parsed once
	b.ReportAllocs()
	for b.Loop() {
		must(b, spec, templates)
	}
}
