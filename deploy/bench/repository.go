package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"weir.dev/pkg/gitserver"
)

const (
	firstVersion  = "1.0.0" // what is installed
	secondVersion = "2.0.0" // what all is upgraded to
)

// object is one object of an application as a client applies it.
type object struct {
	path string // on the API server
	data []byte // JSON
}

// template is one object of an application. NAME, NAMESPACE and VERSION are filled in.
type template struct {
	file string
	path string
	text string
}

// templates returns the objects that make an application. Each carries the version, so
// that an upgrade changes all. The Deployment has no replicas: what is measured is
// delivery, not the scheduling of Pods.
func templates() []template {
	return []template{
		{"serviceaccount.yaml", "/api/v1/namespaces/NAMESPACE/serviceaccounts/NAME", `apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME, namespace: NAMESPACE, labels: {app: NAME, version: "VERSION"}}
`},
		{"service.yaml", "/api/v1/namespaces/NAMESPACE/services/NAME", `apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NAMESPACE, labels: {app: NAME, version: "VERSION"}}
spec: {selector: {app: NAME}, ports: [{name: http, port: 80, targetPort: 8080}]}
`},
		{"deployment.yaml", "/apis/apps/v1/namespaces/NAMESPACE/deployments/NAME", `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NAMESPACE, labels: {app: NAME, version: "VERSION"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers:
        - name: app
          image: registry.example.com/NAME:VERSION
          ports: [{name: http, containerPort: 8080}]
          resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {memory: 64Mi}}
`},
		{"ingress.yaml", "/apis/networking.k8s.io/v1/namespaces/NAMESPACE/ingresses/NAME", `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME, namespace: NAMESPACE, labels: {app: NAME, version: "VERSION"}}
spec:
  rules:
    - host: NAME.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: NAME, port: {name: http}}}}]}
`},
	}
}

func appName(i int) string { return fmt.Sprintf("app-%04d", i) }

func appPath(i int) string { return "apps/" + appName(i) }

func appImage(i int, version string) string {
	return "registry.example.com/" + appName(i) + ":" + version
}

// appFiles returns the files of an application, by path.
func appFiles(namespace string, i int, version string) map[string]string {
	files := map[string]string{}
	kustomization := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
	for _, t := range templates() {
		files[appPath(i)+"/"+t.file] = fill(t.text, namespace, i, version)
		kustomization += "  - " + t.file + "\n"
	}
	files[appPath(i)+"/kustomization.yaml"] = kustomization
	return files
}

// allFiles returns the files of n applications.
func allFiles(namespace string, n int, version string) map[string]string {
	files := map[string]string{}
	for i := range n {
		maps.Copy(files, appFiles(namespace, i, version))
	}
	return files
}

// appObjects returns the same objects as appFiles, as they are applied.
func appObjects(namespace string, i int, version string) ([]object, error) {
	var objects []object
	for _, t := range templates() {
		data, err := yaml.YAMLToJSON([]byte(fill(t.text, namespace, i, version)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.file, err)
		}
		objects = append(objects, object{path: fill(t.path, namespace, i, version), data: data})
	}
	return objects, nil
}

// allObjects returns the objects of n applications.
func allObjects(namespace string, n int, version string) ([]object, error) {
	var all []object
	for i := range n {
		objects, err := appObjects(namespace, i, version)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// ofResource returns the objects of a resource: "services".
func ofResource(objects []object, resource string) []object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object) bool {
		return !strings.Contains(o.path, "/"+resource+"/")
	})
}

func fill(text, namespace string, i int, version string) string {
	return strings.NewReplacer("NAMESPACE", namespace, "NAME", appName(i), "VERSION", version).Replace(text)
}

// filesInFolder is how many files of the large repository share a folder.
const filesInFolder = 20

// largePath is where the large repository has its ith file.
func largePath(i int) string {
	return fmt.Sprintf("folder-%04d/config-%02d.yaml", i/filesInFolder, i%filesInFolder)
}

// largeFile is a file of about a kilobyte. What is in it depends on where it is and in
// which commit it was written, and is not easily compressed.
func largeFile(i, commit int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-%d}\ndata:\n", i)
	state := uint64(i)*1_000_003 + uint64(commit) + 1
	for key := range 16 {
		state = state*6364136223846793005 + 1442695040888963407
		high := state
		state = state*6364136223846793005 + 1442695040888963407
		fmt.Fprintf(&b, "  key-%02d: \"%016x%016x\"\n", key, high, state)
	}
	return b.String()
}

// fillLarge makes the large repository: all files in the first commit, and one that
// changes in each further one.
func fillLarge(repo *gitserver.Repo, files, commits int) error {
	contents := make(map[string]string, files)
	for i := range files {
		contents[largePath(i)] = largeFile(i, 0)
	}
	if _, err := repo.Commit(branch, "Add all files", gitserver.Files(contents)...); err != nil {
		return err
	}
	for c := 1; c < commits; c++ {
		if _, err := changeLarge(repo, files, c); err != nil {
			return err
		}
	}
	return nil
}

// changeLarge makes a commit of one file.
func changeLarge(repo *gitserver.Repo, files, commit int) (string, error) {
	const stride = 37 // so that commits that follow each other are in different folders
	i := commit * stride % files
	return repo.Commit(branch, fmt.Sprintf("Change %d", commit), gitserver.File(largePath(i), largeFile(i, commit)))
}
