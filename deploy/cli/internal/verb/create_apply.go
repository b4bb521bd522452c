package verb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
)

// dependencies reads NAME or NAMESPACE/NAME of --depends-on.
func dependencies(texts []string) []meta.DependencyReference {
	var out []meta.DependencyReference
	for _, text := range texts {
		namespace, name, found := strings.Cut(text, "/")
		if !found {
			namespace, name = "", text
		}
		out = append(out, meta.DependencyReference{Namespace: namespace, Name: name})
	}
	return out
}

// kubeConfig refers to the Secret of another cluster; nil if there is none.
func kubeConfig(secret string) *meta.KubeConfigReference {
	if secret == "" {
		return nil
	}
	return &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: secret}}
}

// createKustomization makes a Kustomization.
type createKustomization struct {
	*creation
	spec                                 kustomizev1.KustomizationSpec
	source, decryption, decryptionSecret string
	kubeConfig                           string
	healthChecks, dependsOn              []string
	healthTimeout, retry                 time.Duration
}

func newCreateKustomization(c *creation) *cobra.Command {
	k := &createKustomization{creation: c}
	cmd := c.command("kustomization", "Create a Kustomization", `  weir create kustomization podinfo --source=GitRepository/podinfo --path=./deploy --prune --interval=10m
  weir create ks apps --source=OCIRepository/apps.flux-system --path=./ --depends-on=infra --wait --export`, k.build)
	cmd.Aliases = []string{"ks"}
	fs := cmd.Flags()
	fs.StringVar(&k.source, "source", "", "KIND/NAME or KIND/NAME.NAMESPACE of the source")
	fs.StringVar(&k.spec.Path, "path", "./", "folder in the source")
	fs.BoolVar(&k.spec.Prune, "prune", false, "delete what is no longer in the source")
	fs.BoolVar(&k.spec.Wait, "wait", false, "be ready when all that was applied is")
	fs.BoolVar(&k.spec.Force, "force", false, "create anew what cannot be changed")
	fs.StringSliceVar(&k.healthChecks, "health-check", nil, "what has to be well: KIND/NAME.NAMESPACE")
	fs.DurationVar(&k.healthTimeout, "health-check-timeout", 2*time.Minute, "how long that may take")
	fs.StringSliceVar(&k.dependsOn, "depends-on", nil, "Kustomizations that have to be ready first: NAME or NAMESPACE/NAME")
	fs.StringVar(&k.spec.ServiceAccountName, "service-account", "", "ServiceAccount as which it is applied")
	fs.StringVar(&k.decryption, "decryption-provider", "", "what has encrypted Secrets: sops")
	fs.StringVar(&k.decryptionSecret, "decryption-secret", "", "Secret with the keys for that")
	fs.StringVar(&k.spec.TargetNamespace, "target-namespace", "", "namespace that all is put into")
	fs.StringVar(&k.kubeConfig, "kubeconfig-secret-ref", "", "Secret with the kubeconfig of another cluster to apply to")
	fs.DurationVar(&k.retry, "retry-interval", 0, "how soon to try again after a failure")
	return cmd
}

func (k *createKustomization) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := k.metadata(name)
	if err != nil {
		return nil, err
	}
	if err := needed(flagValue{"source", k.source}); err != nil {
		return nil, err
	}
	ref, err := referred("source", k.source, sourcev1.GitRepositoryKind, sourcev1.OCIRepositoryKind, sourcev1.BucketKind, sourcev1.ExternalArtifactKind)
	if err != nil {
		return nil, err
	}
	spec := k.spec
	spec.SourceRef = kustomizev1.SourceReference{Kind: ref.Kind, Name: ref.Name, Namespace: ref.Namespace}
	spec.Interval, spec.DependsOn, spec.KubeConfig = k.every(), dependencies(k.dependsOn), kubeConfig(k.kubeConfig)
	if k.retry > 0 {
		spec.RetryInterval = &metav1.Duration{Duration: k.retry}
	}
	if spec.HealthChecks, err = healthChecks(k.healthChecks); err != nil {
		return nil, err
	}
	if spec.Wait || len(spec.HealthChecks) > 0 {
		spec.Timeout = &metav1.Duration{Duration: k.healthTimeout}
	}
	switch {
	case k.decryption == "" && k.decryptionSecret != "":
		return nil, errors.New("--decryption-provider is missing")
	case k.decryption != "":
		if err := oneOf("decryption-provider", k.decryption, kustomizev1.DecryptionProviderSOPS); err != nil {
			return nil, err
		}
		spec.Decryption = &kustomizev1.DecryptionSpec{Provider: k.decryption, SecretRef: localRef(k.decryptionSecret)}
	}
	return []client.Object{&kustomizev1.Kustomization{ObjectMeta: m, Spec: spec}}, nil
}

// healthChecks reads KIND/NAME.NAMESPACE of kinds that are well or not.
func healthChecks(texts []string) ([]meta.NamespacedObjectKindReference, error) {
	versions := map[string]string{"Deployment": "apps/v1", "DaemonSet": "apps/v1", "StatefulSet": "apps/v1", "HelmRelease": helmv2.GroupVersion.String()}
	var out []meta.NamespacedObjectKindReference
	for _, text := range texts {
		ref, err := referred("health-check", text, "Deployment", "DaemonSet", "StatefulSet", "HelmRelease")
		switch {
		case err != nil:
			return nil, err
		case ref.Namespace == "":
			return nil, session.Hint(fmt.Errorf("--health-check is %q, which has no namespace", text), "it is KIND/NAME.NAMESPACE")
		}
		out = append(out, meta.NamespacedObjectKindReference{APIVersion: versions[ref.Kind], Kind: ref.Kind, Name: ref.Name, Namespace: ref.Namespace})
	}
	return out, nil
}

// createHelmRelease makes a HelmRelease.
type createHelmRelease struct {
	*creation
	spec                                             helmv2.HelmReleaseSpec
	source, chartRef, chart, version, strategy, crds string
	kubeConfig                                       string
	chartInterval                                    time.Duration
	createNamespace                                  bool
	dependsOn, valuesFiles, valuesFrom               []string
}

func newCreateHelmRelease(c *creation) *cobra.Command {
	r := &createHelmRelease{creation: c}
	cmd := c.command("helmrelease", "Create a HelmRelease", `  weir create helmrelease podinfo --source=HelmRepository/podinfo --chart=podinfo --chart-version=6.x --values=./values.yaml
  weir create hr podinfo --chart-ref=OCIRepository/podinfo --values-from=Secret/podinfo-values --export`, r.build)
	cmd.Aliases = []string{"hr"}
	fs := cmd.Flags()
	fs.StringVar(&r.source, "source", "", "where the chart is: KIND/NAME or KIND/NAME.NAMESPACE of a HelmRepository, GitRepository or Bucket")
	fs.StringVar(&r.chartRef, "chart-ref", "", "what is the chart: KIND/NAME or KIND/NAME.NAMESPACE of a HelmChart, OCIRepository or ExternalArtifact")
	fs.StringVar(&r.chart, "chart", "", "name of the chart, or its folder in the source")
	fs.StringVar(&r.version, "chart-version", "", "range of versions of the chart")
	fs.DurationVar(&r.chartInterval, "chart-interval", 0, "how often to look for a new chart; by default the interval")
	fs.StringVar(&r.strategy, "reconcile-strategy", "ChartVersion", "when there is a new chart: ChartVersion or Revision")
	fs.StringVar(&r.spec.ReleaseName, "release-name", "", "name of the release, if it is another")
	fs.StringVar(&r.spec.TargetNamespace, "target-namespace", "", "namespace of the release")
	fs.StringVar(&r.spec.StorageNamespace, "storage-namespace", "", "namespace in which Helm keeps what it knows of the release")
	fs.BoolVar(&r.createNamespace, "create-target-namespace", false, "create the namespace of the release")
	fs.StringSliceVar(&r.dependsOn, "depends-on", nil, "HelmReleases that have to be ready first: NAME or NAMESPACE/NAME")
	fs.StringVar(&r.spec.ServiceAccountName, "service-account", "", "ServiceAccount as which it is applied")
	fs.StringVar(&r.crds, "crds", "", "what becomes of CRDs of the chart: Skip, Create or CreateReplace")
	fs.StringSliceVar(&r.valuesFiles, "values", nil, "files of values, of which later ones win")
	fs.StringSliceVar(&r.valuesFrom, "values-from", nil, "ConfigMap/NAME or Secret/NAME with values.yaml")
	fs.StringVar(&r.kubeConfig, "kubeconfig-secret-ref", "", "Secret with the kubeconfig of another cluster to apply to")
	return cmd
}

func (r *createHelmRelease) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := r.metadata(name)
	if err != nil {
		return nil, err
	}
	spec := r.spec
	spec.Interval, spec.DependsOn, spec.KubeConfig = r.every(), dependencies(r.dependsOn), kubeConfig(r.kubeConfig)
	if err := r.choose(&spec); err != nil {
		return nil, err
	}
	if r.crds != "" {
		if err := oneOf("crds", r.crds, "Skip", "Create", "CreateReplace"); err != nil {
			return nil, err
		}
		spec.Install = &helmv2.Install{CRDs: helmv2.CRDsPolicy(r.crds)}
		spec.Upgrade = &helmv2.Upgrade{CRDs: helmv2.CRDsPolicy(r.crds)}
	}
	if r.createNamespace {
		if spec.Install == nil {
			spec.Install = &helmv2.Install{}
		}
		spec.Install.CreateNamespace = true
	}
	for _, text := range r.valuesFrom {
		ref, err := referred("values-from", text, "Secret", "ConfigMap")
		if err != nil {
			return nil, err
		}
		if ref.Namespace != "" { // names may have dots, and others are not read
			ref.Name += "." + ref.Namespace
		}
		spec.ValuesFrom = append(spec.ValuesFrom, meta.ValuesReference{Kind: ref.Kind, Name: ref.Name})
	}
	if spec.Values, err = valuesOf(r.valuesFiles); err != nil {
		return nil, err
	}
	return []client.Object{&helmv2.HelmRelease{ObjectMeta: m, Spec: spec}}, nil
}

// choose says which chart a release is of.
func (r *createHelmRelease) choose(spec *helmv2.HelmReleaseSpec) error {
	switch {
	case r.chartRef != "" && (r.source != "" || r.chart != "" || r.version != ""):
		return errors.New("--chart-ref is the chart: leave out --source, --chart and --chart-version")
	case r.chartRef != "":
		ref, err := referred("chart-ref", r.chartRef, sourcev1.HelmChartKind, sourcev1.OCIRepositoryKind, sourcev1.ExternalArtifactKind)
		spec.ChartRef = &helmv2.CrossNamespaceSourceReference{Kind: ref.Kind, Name: ref.Name, Namespace: ref.Namespace}
		return err
	case r.source == "" || r.chart == "":
		return session.Hint(errors.New("nothing says which chart to release"), "use --source and --chart, or --chart-ref")
	}
	ref, err := referred("source", r.source, sourcev1.HelmRepositoryKind, sourcev1.GitRepositoryKind, sourcev1.BucketKind)
	if err != nil {
		return err
	}
	if err := oneOf("reconcile-strategy", r.strategy, "ChartVersion", "Revision"); err != nil {
		return err
	}
	chart := helmv2.HelmChartTemplateSpec{
		Chart: r.chart, Version: r.version, ReconcileStrategy: r.strategy,
		SourceRef: helmv2.CrossNamespaceObjectReference{Kind: ref.Kind, Name: ref.Name, Namespace: ref.Namespace},
	}
	if r.chartInterval > 0 {
		chart.Interval = &metav1.Duration{Duration: r.chartInterval}
	}
	spec.Chart = &helmv2.HelmChartTemplate{Spec: chart}
	return nil
}

// valuesOf merges files of values; nil if there are none.
func valuesOf(files []string) (*apiextensionsv1.JSON, error) {
	if len(files) == 0 {
		return nil, nil
	}
	all := map[string]any{}
	for _, path := range files {
		content, err := readFile("--values", path)
		if err != nil {
			return nil, err
		}
		var more map[string]any
		if err := yaml.Unmarshal(content, &more); err != nil {
			return nil, fmt.Errorf("--values: %s is no map of values: %w", path, err)
		}
		all = over(all, more)
	}
	raw, err := json.Marshal(all)
	return &apiextensionsv1.JSON{Raw: raw}, err
}

// over returns values with others over them: maps are merged, anything else is replaced.
func over(below, above map[string]any) map[string]any {
	for key, value := range above {
		lower, isMap := below[key].(map[string]any)
		upper, areMaps := value.(map[string]any)
		if isMap && areMaps {
			value = over(lower, upper)
		}
		below[key] = value
	}
	return below
}
