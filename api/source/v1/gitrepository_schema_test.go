package v1_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

const (
	gitRepositoryCRD  = "../../../deploy/crds/source.toolkit.fluxcd.io_gitrepositories.yaml"
	gitRepositoryFull = "testdata/gitrepository-full.yaml"
)

func TestGitRepositoryDefinition(t *testing.T) {
	want := &apiextensionsv1.CustomResourceDefinition{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        "gitrepositories.source.toolkit.fluxcd.io",
			Annotations: map[string]string{"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: sourcev1.GroupName,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind:       sourcev1.GitRepositoryKind,
				ListKind:   "GitRepositoryList",
				Plural:     "gitrepositories",
				Singular:   "gitrepository",
				ShortNames: []string{"gitrepo"},
				Categories: []string{"all", "fluxcd", "fluxcd-sources"},
			},
			Scope: apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name:         "v1",
				Served:       true,
				Storage:      true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{
					{Name: "URL", Type: "string", JSONPath: ".spec.url"},
					{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"},
					{Name: "Ready", Type: "string", JSONPath: `.status.conditions[?(@.type=="Ready")].status`},
					{Name: "Status", Type: "string", JSONPath: `.status.conditions[?(@.type=="Ready")].message`},
				},
			}},
		},
	}
	d := crdtest.Load(t, gitRepositoryCRD)
	if diff := cmp.Diff(want, d.Surface()); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	if fields := d.Undocumented(); len(fields) > 0 {
		t.Errorf("fields without a description: %v", fields)
	}
}

func TestGitRepositoryFields(t *testing.T) {
	d := crdtest.Load(t, gitRepositoryCRD)
	objects := crdtest.Read(t, gitRepositoryFull)
	d.CheckFields(t, objects...)
	for _, obj := range objects {
		crdtest.CheckRoundTrip[sourcev1.GitRepository](t, d, obj)
	}
}

func TestGitRepositoryTakesRecordedObjects(t *testing.T) {
	d := crdtest.Load(t, gitRepositoryCRD)
	paths, err := filepath.Glob("testdata/recorded/gitrepository-*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("recorded objects: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, obj := range crdtest.Read(t, path) {
				crdtest.CheckRoundTrip[sourcev1.GitRepository](t, d, obj)
			}
		})
	}
}

func TestGitRepositoryDefaults(t *testing.T) {
	tests := map[string]struct {
		why  string
		in   string
		want string
	}{
		"fills in a minimal object": {
			why:  "observedGeneration -1 tells that the controller has not seen the object yet",
			in:   `{spec: {url: "https://git.example.com/fleet.git", interval: 10m}}`,
			want: `{spec: {url: "https://git.example.com/fleet.git", interval: 10m, timeout: 60s}, status: {observedGeneration: -1}}`,
		},
		"verifies the commit": {
			why:  "the mode is optional where verification is not",
			in:   `{spec: {verify: {secretRef: {name: keys}}}}`,
			want: `{spec: {timeout: 60s, verify: {mode: HEAD, secretRef: {name: keys}}}, status: {observedGeneration: -1}}`,
		},
		"does not fill in a provider": {
			why:  "objects of before the field existed must not change",
			in:   `{spec: {timeout: 5s, ref: {}}}`,
			want: `{spec: {timeout: 5s, ref: {}}, status: {observedGeneration: -1}}`,
		},
		"leaves a status as it is": {
			why:  "the default is for the whole status",
			in:   `{spec: {timeout: 5s}, status: {}}`,
			want: `{spec: {timeout: 5s}, status: {}}`,
		},
	}
	d := crdtest.Load(t, gitRepositoryCRD)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := crdtest.Parse(t, tc.in)
			d.Default(got)
			if diff := cmp.Diff(crdtest.Parse(t, tc.want), got); diff != "" {
				t.Errorf("defaulted %s (-want +got), %s:\n%s", tc.in, tc.why, diff)
			}
		})
	}
}

func TestGitRepositoryValidation(t *testing.T) {
	rows := map[string]crdtest.Row{
		"spec.url required": {Refuse: []string{"spec: {url: null}"}},
		"spec.url pattern": {
			Why:    "there must be a protocol, and one of three",
			Accept: []string{`spec: {url: "http://h/r"}`, `spec: {url: "https://user:pass@h:8443/r.git"}`, `spec: {url: "ssh://git@h:22/r"}`},
			Refuse: []string{`spec: {url: "git@github.com:org/repo"}`, `spec: {url: "git://h/r"}`, `spec: {url: "file:///r"}`, `spec: {url: ""}`},
		},
		"spec.interval required": {Refuse: []string{"spec: {interval: null}"}},
		"spec.interval pattern": {
			Accept: []string{"spec: {interval: 10m}", "spec: {interval: 1h30m}", "spec: {interval: 0.5h}", "spec: {interval: 500ms}"},
			Refuse: []string{`spec: {interval: "10"}`, "spec: {interval: -1m}", "spec: {interval: 1d}", `spec: {interval: ""}`, "spec: {interval: 10 m}"},
		},
		"spec.timeout pattern": {
			Why:    "a timeout has no hours",
			Accept: []string{"spec: {timeout: 60s}", "spec: {timeout: 90m}", "spec: {timeout: 1m30s}", "spec: {timeout: 0.5s}", "spec: {timeout: 500ms}"},
			Refuse: []string{"spec: {timeout: 1h}", "spec: {timeout: 1h30m}", `spec: {timeout: "60"}`, "spec: {timeout: -1s}"},
		},
		"spec.provider enum": {
			Accept: []string{
				"spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: null, serviceAccountName: null}",
				"spec: {provider: generic, serviceAccountName: null}", "spec: {provider: github, serviceAccountName: null}",
			},
			Refuse: []string{"spec: {provider: gcp}", `spec: {provider: ""}`, "spec: {provider: GitHub}"},
		},
		"spec rule 0": {
			Why:     "other providers have no workload identity",
			Accept:  []string{"spec: {provider: aws}", "spec: {provider: azure}", "spec: {provider: github, serviceAccountName: null}"},
			Refuse:  []string{"spec: {provider: generic}", "spec: {provider: github}", "spec: {provider: null}"},
			Message: "serviceAccountName can only be set when provider is 'azure' or 'aws'",
		},
		"spec.secretRef.name required":      {Refuse: []string{"spec: {secretRef: {name: null}}"}},
		"spec.proxySecretRef.name required": {Refuse: []string{"spec: {proxySecretRef: {name: null}}"}},
		"spec.verify.mode enum": {
			Why:    "head is an older spelling of HEAD",
			Accept: []string{"spec: {verify: {mode: head}}", "spec: {verify: {mode: HEAD}}", "spec: {verify: {mode: Tag}}", "spec: {verify: {mode: TagAndHEAD}}", "spec: {verify: {mode: null}}"},
			Refuse: []string{"spec: {verify: {mode: tag}}", "spec: {verify: {mode: Commit}}", `spec: {verify: {mode: ""}}`},
		},
		"spec.verify.secretRef required":          {Refuse: []string{"spec: {verify: {secretRef: null}}"}},
		"spec.verify.secretRef.name required":     {Refuse: []string{"spec: {verify: {secretRef: {name: null}}}"}},
		"spec.include[].repository required":      {Refuse: []string{"spec: {include: [{repository: null}]}"}},
		"spec.include[].repository.name required": {Refuse: []string{"spec: {include: [{repository: {name: null}}]}"}},
		"status.observedInclude[].repository required": {
			Refuse: []string{"status: {observedInclude: [{repository: null}]}"},
		},
		"status.observedInclude[].repository.name required": {
			Refuse: []string{"status: {observedInclude: [{repository: {name: null}}]}"},
		},
	}
	maps.Copy(rows, artifactRows("status.artifact", func(fragment string) string { return "status: {artifact: {" + fragment + "}}" }))
	maps.Copy(rows, artifactRows("status.includedArtifacts[]", func(fragment string) string {
		return "status: {includedArtifacts: [{" + fragment + "}]}"
	}))
	maps.Copy(rows, crdtest.ConditionRows())
	crdtest.Load(t, gitRepositoryCRD).Check(t, crdtest.Read(t, gitRepositoryFull)[0], rows)
}

// artifactRows returns the rows for an artifact at a path.
func artifactRows(path string, artifact func(fragment string) string) map[string]crdtest.Row {
	return map[string]crdtest.Row{
		path + ".digest required":         {Refuse: []string{artifact("digest: null")}},
		path + ".lastUpdateTime required": {Refuse: []string{artifact("lastUpdateTime: null")}},
		path + ".path required":           {Refuse: []string{artifact("path: null")}},
		path + ".revision required":       {Refuse: []string{artifact("revision: null")}},
		path + ".url required":            {Refuse: []string{artifact("url: null")}},
		path + ".digest pattern": {
			Why:    "a digest names its algorithm",
			Accept: []string{artifact(`digest: "sha512:abc"`), artifact(`digest: "sha256+b64u:Ab-_="`)},
			Refuse: []string{artifact(`digest: "b64c17e9"`), artifact(`digest: "SHA256:abc"`), artifact(`digest: "sha256:"`)},
		},
		path + ".lastUpdateTime format": {
			Accept: []string{artifact(`lastUpdateTime: "2026-11-23T20:41:39Z"`)},
			Refuse: []string{artifact(`lastUpdateTime: "20:41"`)},
		},
	}
}
