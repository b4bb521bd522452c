package v1_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/api/image/v1beta2"
	"weir.dev/api/internal/crdtest"
)

// versions are those that are served, the stored one first.
var versions = []string{"v1", "v1beta2"}

// kind is what the tests of all kinds need to know of one.
type kind struct {
	plural     string
	shortNames []string
	columns    []apiextensionsv1.CustomResourceColumnDefinition
	roundTrip  map[string]func(t *testing.T, d *crdtest.Definition, obj map[string]any) // by version
}

func kinds() map[string]kind {
	type columns = []apiextensionsv1.CustomResourceColumnDefinition
	column := func(name, path string) apiextensionsv1.CustomResourceColumnDefinition {
		return apiextensionsv1.CustomResourceColumnDefinition{Name: name, Type: "string", JSONPath: path}
	}
	wide := func(name, path string) apiextensionsv1.CustomResourceColumnDefinition {
		c := column(name, path)
		c.Priority = 1
		return c
	}
	age := apiextensionsv1.CustomResourceColumnDefinition{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"}
	ready := column("Ready", `.status.conditions[?(@.type=="Ready")].status`)
	status := column("Status", `.status.conditions[?(@.type=="Ready")].message`)
	type trips = map[string]func(t *testing.T, d *crdtest.Definition, obj map[string]any)
	return map[string]kind{
		imagev1.ImageRepositoryKind: {
			plural: "imagerepositories", shortNames: []string{"imgrepo", "imagerepo"},
			columns: columns{
				column("Image", ".spec.image"), column("Tags", ".status.lastScanResult.tagCount"), ready, status,
				wide("Last scan", ".status.lastScanResult.scanTime"), age,
			},
			roundTrip: trips{"v1": roundTrip[imagev1.ImageRepository], "v1beta2": roundTrip[v1beta2.ImageRepository]},
		},
		imagev1.ImagePolicyKind: {
			plural: "imagepolicies", shortNames: []string{"imgpol", "imagepol"},
			columns:   columns{column("Image", ".status.latestRef.name"), column("Tag", ".status.latestRef.tag"), ready, status, age},
			roundTrip: trips{"v1": roundTrip[imagev1.ImagePolicy], "v1beta2": roundTrip[v1beta2.ImagePolicy]},
		},
		imagev1.ImageUpdateAutomationKind: {
			plural: "imageupdateautomations", shortNames: []string{"iua", "imgupd", "imgauto"},
			columns:   columns{ready, status, wide("Last run", ".status.lastAutomationRunTime"), age},
			roundTrip: trips{"v1": roundTrip[imagev1.ImageUpdateAutomation], "v1beta2": roundTrip[v1beta2.ImageUpdateAutomation]},
		},
	}
}

func roundTrip[T any](t *testing.T, d *crdtest.Definition, obj map[string]any) {
	t.Helper()
	crdtest.CheckRoundTrip[T](t, d, obj)
}

// load reads the definition of a version of a kind.
func load(t *testing.T, kind, version string) *crdtest.Definition {
	t.Helper()
	return crdtest.LoadVersion(t, "../../../deploy/crds/image.toolkit.fluxcd.io_"+kinds()[kind].plural+".yaml", version)
}

// full reads the object that has every field of a kind, in a version.
func full(t *testing.T, kind, version string) map[string]any {
	t.Helper()
	obj := crdtest.Read(t, "testdata/"+strings.ToLower(kind)+"-full.yaml")[0]
	obj["apiVersion"] = imagev1.GroupName + "/" + version
	return obj
}

func TestDefinition(t *testing.T) {
	for name, k := range kinds() {
		for _, version := range versions {
			t.Run(name+" "+version, func(t *testing.T) {
				want := &apiextensionsv1.CustomResourceDefinition{
					TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
					ObjectMeta: metav1.ObjectMeta{
						Name:        k.plural + ".image.toolkit.fluxcd.io",
						Annotations: map[string]string{"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
					},
					Spec: apiextensionsv1.CustomResourceDefinitionSpec{
						Group: imagev1.GroupName,
						Names: apiextensionsv1.CustomResourceDefinitionNames{
							Kind: name, ListKind: name + "List", Plural: k.plural, Singular: strings.ToLower(name),
							ShortNames: k.shortNames, Categories: []string{"all", "fluxcd", "fluxcd-images"},
						},
						Scope: apiextensionsv1.NamespaceScoped,
						Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
							Name: version, Served: true, Storage: version == "v1",
							Subresources:             &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
							AdditionalPrinterColumns: k.columns,
						}},
					},
				}
				if version != "v1" {
					warning := version + " " + name + " is deprecated, upgrade to v1"
					want.Spec.Versions[0].Deprecated, want.Spec.Versions[0].DeprecationWarning = true, &warning
				}
				d := load(t, name, version)
				if diff := cmp.Diff(want, d.Surface()); diff != "" {
					t.Errorf("definition (-want +got):\n%s", diff)
				}
				if fields := d.Undocumented(); len(fields) > 0 {
					t.Errorf("fields without a description: %v", fields)
				}
			})
		}
	}
}

// TestVersionsAreTheSame: an object of one version is one of the other, so nothing
// converts them.
func TestVersionsAreTheSame(t *testing.T) {
	for name := range kinds() {
		stored, served := load(t, name, "v1").CRD, load(t, name, "v1beta2").CRD
		if diff := cmp.Diff(stored.Spec.Versions[0].Schema, served.Spec.Versions[0].Schema); diff != "" {
			t.Errorf("%s: schemas of v1 (-) and v1beta2 (+):\n%s", name, diff)
		}
		if stored.Spec.Conversion != nil {
			t.Errorf("%s: versions are converted by %v", name, stored.Spec.Conversion)
		}
	}
}

func TestFields(t *testing.T) {
	for name, k := range kinds() {
		for _, version := range versions {
			t.Run(name+" "+version, func(t *testing.T) {
				d, obj := load(t, name, version), full(t, name, version)
				d.CheckFields(t, obj)
				k.roundTrip[version](t, d, obj)
			})
		}
	}
}

// TestValues keeps the constants and the values that the API server takes the same.
func TestValues(t *testing.T) {
	tests := map[string]struct {
		kind, path string
		want       []string
	}{
		"providers": {
			kind: imagev1.ImageRepositoryKind, path: "spec.provider",
			want: values(imagev1.ImageProviderGeneric, imagev1.ImageProviderAWS, imagev1.ImageProviderAzure, imagev1.ImageProviderGCP),
		},
		"alphabetical orders": {
			kind: imagev1.ImagePolicyKind, path: "spec.policy.alphabetical.order",
			want: values(imagev1.PolicyOrderAscending, imagev1.PolicyOrderDescending),
		},
		"numerical orders": {
			kind: imagev1.ImagePolicyKind, path: "spec.policy.numerical.order",
			want: values(imagev1.PolicyOrderAscending, imagev1.PolicyOrderDescending),
		},
		"reflection of digests": {
			kind: imagev1.ImagePolicyKind, path: "spec.digestReflectionPolicy",
			want: values(imagev1.ReflectAlways, imagev1.ReflectIfNotPresent, imagev1.ReflectNever),
		},
		"strategies": {
			kind: imagev1.ImageUpdateAutomationKind, path: "spec.update.strategy",
			want: values(imagev1.UpdateStrategySetters),
		},
		"types of signing keys": {
			kind: imagev1.ImageUpdateAutomationKind, path: "spec.git.commit.signingKey.type",
			want: values(imagev1.SigningKeyGPG, imagev1.SigningKeySSH),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			schema := *load(t, tc.kind, "v1").CRD.Spec.Versions[0].Schema.OpenAPIV3Schema
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

func TestDefaults(t *testing.T) {
	tests := map[string]struct {
		why, kind, in, want string
	}{
		"a minimal repository": {
			why: "observedGeneration -1 tells that the controller has not seen the object yet; signatures are no versions", kind: imagev1.ImageRepositoryKind,
			in:   `{spec: {image: registry.example.com/app, interval: 10m}}`,
			want: `{spec: {image: registry.example.com/app, interval: 10m, provider: generic, exclusionList: ['^.*\.sig$']}, status: {observedGeneration: -1}}`,
		},
		"a repository that excludes nothing": {
			why: "an empty list is the user's own", kind: imagev1.ImageRepositoryKind,
			in:   `{spec: {provider: gcp, exclusionList: []}, status: {}}`,
			want: `{spec: {provider: gcp, exclusionList: []}, status: {}}`,
		},
		"a minimal policy": {
			why: "nobody is asked for a digest unless it is wanted", kind: imagev1.ImagePolicyKind,
			in:   `{spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 1.x}}}}`,
			want: `{spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 1.x}}, digestReflectionPolicy: Never}, status: {observedGeneration: -1}}`,
		},
		"orders": {
			kind: imagev1.ImagePolicyKind,
			in:   `{spec: {policy: {alphabetical: {}, numerical: {}}, digestReflectionPolicy: Always}}`,
			want: `{spec: {policy: {alphabetical: {order: asc}, numerical: {order: asc}}, digestReflectionPolicy: Always}, status: {observedGeneration: -1}}`,
		},
		"a minimal automation": {
			kind: imagev1.ImageUpdateAutomationKind,
			in:   `{spec: {interval: 10m, sourceRef: {name: fleet}, git: {commit: {author: {email: a@example.com}, signingKey: {secretRef: {name: key}}}}}}`,
			want: `{spec: {interval: 10m, sourceRef: {kind: GitRepository, name: fleet}, update: {strategy: Setters},
			  git: {commit: {author: {email: a@example.com}, signingKey: {secretRef: {name: key}, type: gpg}}}}, status: {observedGeneration: -1}}`,
		},
		"an automation with a path": {
			why: "the strategy is optional beside it", kind: imagev1.ImageUpdateAutomationKind,
			in:   `{spec: {update: {path: ./apps}}}`,
			want: `{spec: {update: {strategy: Setters, path: ./apps}}, status: {observedGeneration: -1}}`,
		},
	}
	for name, tc := range tests {
		for _, version := range versions {
			got := crdtest.Parse(t, tc.in)
			load(t, tc.kind, version).Default(got)
			if diff := cmp.Diff(crdtest.Parse(t, tc.want), got); diff != "" {
				t.Errorf("%s, as %s: defaulted (-want +got), %s:\n%s", name, version, tc.why, diff)
			}
		}
	}
}

// checkRows tries the rows of a kind and those for its conditions.
func checkRows(t *testing.T, kind string, rows map[string]crdtest.Row, more ...map[string]crdtest.Row) {
	t.Helper()
	for _, m := range append(more, crdtest.ConditionRows()) {
		for name, row := range m {
			if _, ok := rows[name]; ok {
				t.Errorf("constraint %q has two rows", name)
			}
			rows[name] = row
		}
	}
	for _, version := range versions {
		load(t, kind, version).Check(t, full(t, kind, version), maps.Clone(rows))
	}
}

// required returns the rows for fields that an object, and a list of at most one
// element, must have.
func required(paths ...string) map[string]crdtest.Row {
	rows := map[string]crdtest.Row{}
	for _, path := range paths {
		fragment := "null"
		for _, field := range slices.Backward(strings.Split(path, ".")) {
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

// intervals is the row for an interval.
func intervals() crdtest.Row {
	return crdtest.Row{
		Accept: []string{"spec: {interval: 10m}", "spec: {interval: 1h30m}", "spec: {interval: 0.5h}", "spec: {interval: 500ms}"},
		Refuse: []string{`spec: {interval: "10"}`, "spec: {interval: -1m}", "spec: {interval: 1d}", `spec: {interval: ""}`},
	}
}

// times is the row for a time in the status.
func times(field string) crdtest.Row {
	row := crdtest.Row{Accept: []string{`"2026-11-23T20:41:39Z"`}, Refuse: []string{"yesterday"}}
	for _, list := range [][]string{row.Accept, row.Refuse} {
		for i := range list {
			list[i] = "status: {" + strings.ReplaceAll(field, "$", list[i]) + "}"
		}
	}
	return row
}
