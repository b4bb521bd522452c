package v1_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

// kind is what the tests of all kinds need to know of one.
type kind struct {
	plural     string
	shortNames []string
	columns    []apiextensionsv1.CustomResourceColumnDefinition
	roundTrip  func(t *testing.T, d *crdtest.Definition, obj map[string]any)
	recorded   bool // whether there are objects that another controller wrote
}

func kinds() map[string]kind {
	column := func(name, path string) apiextensionsv1.CustomResourceColumnDefinition {
		return apiextensionsv1.CustomResourceColumnDefinition{Name: name, Type: "string", JSONPath: path}
	}
	age := apiextensionsv1.CustomResourceColumnDefinition{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"}
	url := column("URL", ".spec.url")
	ready := column("Ready", `.status.conditions[?(@.type=="Ready")].status`)
	status := column("Status", `.status.conditions[?(@.type=="Ready")].message`)
	type columns = []apiextensionsv1.CustomResourceColumnDefinition
	return map[string]kind{
		sourcev1.GitRepositoryKind: {
			plural: "gitrepositories", shortNames: []string{"gitrepo"}, recorded: true,
			columns:   columns{url, age, ready, status},
			roundTrip: roundTrip[sourcev1.GitRepository],
		},
		sourcev1.OCIRepositoryKind: {
			plural: "ocirepositories", shortNames: []string{"ocirepo"},
			columns:   columns{url, ready, status, age},
			roundTrip: roundTrip[sourcev1.OCIRepository],
		},
		sourcev1.HelmRepositoryKind: {
			plural: "helmrepositories", shortNames: []string{"helmrepo"}, recorded: true,
			columns:   columns{url, age, ready, status},
			roundTrip: roundTrip[sourcev1.HelmRepository],
		},
		sourcev1.HelmChartKind: {
			plural: "helmcharts", shortNames: []string{"hc"}, recorded: true,
			columns: columns{
				column("Chart", ".spec.chart"), column("Version", ".spec.version"),
				column("Source Kind", ".spec.sourceRef.kind"), column("Source Name", ".spec.sourceRef.name"),
				age, ready, status,
			},
			roundTrip: roundTrip[sourcev1.HelmChart],
		},
		sourcev1.BucketKind: {
			plural:    "buckets",
			columns:   columns{column("Endpoint", ".spec.endpoint"), age, ready, status},
			roundTrip: roundTrip[sourcev1.Bucket],
		},
		sourcev1.ExternalArtifactKind: {
			plural: "externalartifacts", shortNames: []string{"ea"},
			columns:   columns{age, ready, status, column("Source", ".spec.sourceRef.name")},
			roundTrip: roundTrip[sourcev1.ExternalArtifact],
		},
	}
}

func roundTrip[T any](t *testing.T, d *crdtest.Definition, obj map[string]any) {
	t.Helper()
	crdtest.CheckRoundTrip[T](t, d, obj)
}

// load reads the definition of a kind.
func load(t *testing.T, kind string) *crdtest.Definition {
	t.Helper()
	return crdtest.Load(t, "../../../deploy/crds/source.toolkit.fluxcd.io_"+kinds()[kind].plural+".yaml")
}

// full reads the objects that have, together, every field of a kind. The first has
// every field with a constraint.
func full(t *testing.T, kind string) []map[string]any {
	t.Helper()
	return crdtest.Read(t, "testdata/"+strings.ToLower(kind)+"-full.yaml")
}

func TestDefinition(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			want := &apiextensionsv1.CustomResourceDefinition{
				TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
				ObjectMeta: metav1.ObjectMeta{
					Name:        k.plural + ".source.toolkit.fluxcd.io",
					Annotations: map[string]string{"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
				},
				Spec: apiextensionsv1.CustomResourceDefinitionSpec{
					Group: sourcev1.GroupName,
					Names: apiextensionsv1.CustomResourceDefinitionNames{
						Kind:       name,
						ListKind:   name + "List",
						Plural:     k.plural,
						Singular:   strings.ToLower(name),
						ShortNames: k.shortNames,
						Categories: []string{"all", "fluxcd", "fluxcd-sources"},
					},
					Scope: apiextensionsv1.NamespaceScoped,
					Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
						Name:                     "v1",
						Served:                   true,
						Storage:                  true,
						Subresources:             &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
						AdditionalPrinterColumns: k.columns,
					}},
				},
			}
			d := load(t, name)
			if diff := cmp.Diff(want, d.Surface()); diff != "" {
				t.Errorf("definition (-want +got):\n%s", diff)
			}
			if fields := d.Undocumented(); len(fields) > 0 {
				t.Errorf("fields without a description: %v", fields)
			}
		})
	}
}

func TestFields(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			d, objects := load(t, name), full(t, name)
			d.CheckFields(t, objects...)
			for _, obj := range objects {
				k.roundTrip(t, d, obj)
			}
		})
	}
}

func TestTakesRecordedObjects(t *testing.T) {
	for name, k := range kinds() {
		paths, err := filepath.Glob("testdata/recorded/" + strings.ToLower(name) + "-*.yaml")
		if err != nil || len(paths) > 0 != k.recorded {
			t.Fatalf("recorded objects of %s: %v, %v", name, paths, err)
		}
		for _, path := range paths {
			t.Run(filepath.Base(path), func(t *testing.T) {
				for _, obj := range crdtest.Read(t, path) {
					k.roundTrip(t, load(t, name), obj)
				}
			})
		}
	}
}

// TestValues keeps the constants and the values that the API server takes the same.
func TestValues(t *testing.T) {
	tests := map[string]struct {
		kind string
		path string
		want []string
	}{
		"Git providers": {
			kind: sourcev1.GitRepositoryKind, path: "spec.provider",
			want: values(sourcev1.GitProviderGeneric, sourcev1.GitProviderAWS, sourcev1.GitProviderAzure, sourcev1.GitProviderGitHub),
		},
		"OCI providers": {
			kind: sourcev1.OCIRepositoryKind, path: "spec.provider",
			want: values(sourcev1.OCIProviderGeneric, sourcev1.OCIProviderAWS, sourcev1.OCIProviderAzure, sourcev1.OCIProviderGCP),
		},
		"layer operations": {
			kind: sourcev1.OCIRepositoryKind, path: "spec.layerSelector.operation",
			want: values(sourcev1.OCILayerExtract, sourcev1.OCILayerCopy),
		},
		"verification providers": {
			kind: sourcev1.OCIRepositoryKind, path: "spec.verify.provider",
			want: values(sourcev1.OCIVerificationCosign, sourcev1.OCIVerificationNotation),
		},
		"types of chart repositories": {
			kind: sourcev1.HelmRepositoryKind, path: "spec.type",
			want: values(sourcev1.HelmRepositoryTypeDefault, sourcev1.HelmRepositoryTypeOCI),
		},
		"sources of charts": {
			kind: sourcev1.HelmChartKind, path: "spec.sourceRef.kind",
			want: []string{sourcev1.HelmRepositoryKind, sourcev1.GitRepositoryKind, sourcev1.BucketKind},
		},
		"reconcile strategies": {
			kind: sourcev1.HelmChartKind, path: "spec.reconcileStrategy",
			want: values(sourcev1.ReconcileStrategyChartVersion, sourcev1.ReconcileStrategyRevision),
		},
		"bucket providers": {
			kind: sourcev1.BucketKind, path: "spec.provider",
			want: values(sourcev1.BucketProviderGeneric, sourcev1.BucketProviderAWS, sourcev1.BucketProviderGCP, sourcev1.BucketProviderAzure),
		},
		"STS providers": {
			kind: sourcev1.BucketKind, path: "spec.sts.provider",
			want: values(sourcev1.STSProviderAWS, sourcev1.STSProviderLDAP),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			schema := *load(t, tc.kind).CRD.Spec.Versions[0].Schema.OpenAPIV3Schema
			for field := range strings.SplitSeq(tc.path, ".") {
				schema = schema.Properties[field]
			}
			var got []string
			for _, value := range schema.Enum {
				got = append(got, strings.Trim(string(value.Raw), `"`))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values of %s of a %s, constants (-) and schema (+):\n%s", tc.path, tc.kind, diff)
			}
		})
	}
}

func values[S ~string](all ...S) []string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

// defaults is what the API server makes of an object.
type defaults struct {
	why  string
	in   string
	want string
}

func checkDefaults(t *testing.T, kind string, tests map[string]defaults) {
	d := load(t, kind)
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

// checkRows tries the rows of a kind, those for its artifact and conditions, and those
// of more.
func checkRows(t *testing.T, kind string, rows map[string]crdtest.Row, more ...map[string]crdtest.Row) {
	more = append(more, crdtest.ConditionRows(), artifactRows("status.artifact", func(fragment string) string {
		return "status: {artifact: {" + fragment + "}}"
	}))
	for _, m := range more {
		for name, row := range m {
			if _, ok := rows[name]; ok {
				t.Errorf("constraint %q has two rows", name)
			}
			rows[name] = row
		}
	}
	load(t, kind).Check(t, full(t, kind)[0], rows)
}

// intervalRows returns the rows for an interval.
func intervalRows() map[string]crdtest.Row {
	return map[string]crdtest.Row{
		"spec.interval pattern": {
			Accept: []string{"spec: {interval: 10m}", "spec: {interval: 1h30m}", "spec: {interval: 0.5h}", "spec: {interval: 500ms}"},
			Refuse: []string{`spec: {interval: "10"}`, "spec: {interval: -1m}", "spec: {interval: 1d}", `spec: {interval: ""}`, "spec: {interval: 10 m}"},
		},
	}
}

// timeoutRows returns the rows for a timeout.
func timeoutRows() map[string]crdtest.Row {
	return map[string]crdtest.Row{
		"spec.timeout pattern": {
			Why:    "a timeout has no hours",
			Accept: []string{"spec: {timeout: 60s}", "spec: {timeout: 90m}", "spec: {timeout: 1m30s}", "spec: {timeout: 0.5s}", "spec: {timeout: 500ms}"},
			Refuse: []string{"spec: {timeout: 1h}", "spec: {timeout: 1h30m}", `spec: {timeout: "60"}`, "spec: {timeout: -1s}"},
		},
	}
}

// requiredRows returns the rows for fields that an object, and a list of at most one
// element, must have.
func requiredRows(paths ...string) map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for _, path := range paths {
		fragment := "null"
		fields := strings.Split(path, ".")
		for _, field := range slices.Backward(fields) {
			name, list := strings.CutSuffix(field, "[]")
			if list {
				fragment = "[" + fragment + "]"
			}
			fragment = "{" + name + ": " + fragment + "}"
		}
		rows[path+" required"] = crdtest.Row{Refuse: []string{fragment}}
	}
	return rows
}

// identityRows returns the rows for the identities and the providers of a
// verification.
func identityRows() map[string]crdtest.Row {
	rows := map[string]crdtest.Row{
		"spec.verify.provider enum": {
			Why:    "cosign is the default",
			Accept: []string{"spec: {verify: {provider: cosign}}", "spec: {verify: {provider: notation}}", "spec: {verify: {provider: null}}"},
			Refuse: []string{"spec: {verify: {provider: gpg}}", `spec: {verify: {provider: ""}}`},
		},
	}
	maps.Copy(rows, requiredRows(
		"spec.verify.secretRef.name",
		"spec.verify.matchOIDCIdentity[].issuer",
		"spec.verify.matchOIDCIdentity[].subject",
	))
	return rows
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
