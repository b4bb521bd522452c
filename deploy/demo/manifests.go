package main

import "strings"

// gitRepository is the GitRepository of the README, but for the URL.
func gitRepository(url string) string {
	return strings.ReplaceAll(`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: my-app, namespace: flux-system}
spec: {interval: 1m, url: "URL", ref: {branch: main}}
`, "URL", url)
}

const kustomization = `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: my-app, namespace: flux-system}
spec: {interval: 10m, path: ./apps/my-app, prune: true, sourceRef: {kind: GitRepository, name: my-app}}
`

// app is the files of the repository.
func app(tag string) map[string]string {
	return map[string]string{
		"README.md":                   "The demo's repository.\n",
		"apps/my-app/deployment.yaml": deploymentYAML(tag, "2"),
		"apps/my-app/service.yaml":    serviceYAML,
		"apps/my-app/settings.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: my-app}\ndata: {colour: blue}\n",
	}
}

func deploymentYAML(tag, replicas string) string {
	return strings.NewReplacer("TAG", tag, "REPLICAS", replicas).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: my-app, namespace: my-app}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: my-app}}
  template:
    metadata: {labels: {app: my-app}}
    spec: {containers: [{name: my-app, image: "registry.example.com/my-app:TAG", ports: [{containerPort: 8080}]}]}
`)
}

const serviceYAML = `apiVersion: v1
kind: Service
metadata: {name: my-app, namespace: my-app}
spec: {selector: {app: my-app}, ports: [{port: 80, targetPort: 8080}]}
`
