package speed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/internal/stack"
)

const (
	// namespaces is among how many the objects of a kind are.
	namespaces = 10
	// hands is how many objects are made at a time.
	hands = 16
)

// fill makes n objects of each kind.
func (p *plane) fill(ctx context.Context, n int) error {
	for i := range namespaces {
		if err := p.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space(i)}}); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(hands)
	for i := range n {
		for _, k := range kinds.All() {
			g.Go(func() error {
				obj, err := object(k, i)
				if err != nil {
					return err
				}
				path := fmt.Sprintf("/apis/%s/namespaces/%s/%s?fieldManager=speed", k.GVK.GroupVersion(), space(i), k.Plural)
				_, err = p.do(ctx, http.MethodPost, path, "application/json", obj)
				return err
			})
		}
	}
	return g.Wait()
}

func space(i int) string      { return fmt.Sprintf("space-%d", i%namespaces) }
func objectName(i int) string { return fmt.Sprintf("object-%04d", i) }

// define installs the definitions of all kinds, those of others as well. They have no
// subresource for the status, so that an object and its status are one request: the command
// reads the same.
func (p *plane) define(ctx context.Context) error {
	all, err := stack.Definitions()
	if err != nil {
		return err
	}
	for _, crd := range all {
		for i := range crd.Spec.Versions {
			crd.Spec.Versions[i].Subresources = nil
		}
	}
	for _, k := range kinds.All() {
		if k.Foreign {
			all = append(all, foreign(k))
		}
	}
	return p.Define(ctx, all...)
}

// foreign is the definition of a kind of another distribution, which takes everything.
func foreign(k kinds.Kind) *apiextensionsv1.CustomResourceDefinition {
	all := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: k.Plural + "." + k.GVK.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: k.GVK.Group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: k.Plural, Singular: strings.ToLower(k.GVK.Kind), Kind: k.GVK.Kind, ListKind: k.GVK.Kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: k.GVK.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &all}},
			}},
		},
	}
}

const (
	revision = "main@sha1:0123456789abcdef0123456789abcdef01234567"
	digest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	moment   = "2024-01-01T00:00:00Z"
)

// specs are those of objects of each kind, as people write them. %s is the name.
var specs = map[string]string{
	"GitRepository":         `{"interval":"1m","url":"https://example.com/%s.git","ref":{"branch":"main"},"secretRef":{"name":"fleet"}}`,
	"OCIRepository":         `{"interval":"1m","url":"oci://example.com/%s","ref":{"tag":"latest"}}`,
	"HelmRepository":        `{"interval":"1m","url":"https://example.com/%s"}`,
	"HelmChart":             `{"interval":"1m","chart":"%s","version":">=1.0.0","sourceRef":{"kind":"HelmRepository","name":"charts"}}`,
	"Bucket":                `{"interval":"1m","endpoint":"s3.example.com","bucketName":"%s"}`,
	"ExternalArtifact":      `{"sourceRef":{"apiVersion":"example.com/v1","kind":"Maker","name":"%s"}}`,
	"HelmRelease":           `{"interval":"10m","chart":{"spec":{"chart":"%s","version":"1.x","sourceRef":{"kind":"HelmRepository","name":"charts"}}},"values":{"replicaCount":2,"resources":{"limits":{"memory":"128Mi"}}}}`,
	"Kustomization":         `{"interval":"10m","path":"./apps/%s","prune":true,"sourceRef":{"kind":"GitRepository","name":"fleet"}}`,
	"ImageRepository":       `{"interval":"5m","image":"registry.example.com/%s"}`,
	"ImagePolicy":           `{"imageRepositoryRef":{"name":"%s"},"policy":{"semver":{"range":">=1.0.0"}}}`,
	"ImageUpdateAutomation": `{"interval":"5m","sourceRef":{"kind":"GitRepository","name":"%s"},"git":{"commit":{"author":{"name":"robot","email":"robot@example.com"}}}}`,
}

// object is one of a kind that its controller is done with.
func object(k kinds.Kind, i int) ([]byte, error) {
	spec := map[string]any{}
	if text, ok := specs[k.GVK.Kind]; ok {
		if err := json.Unmarshal(fmt.Appendf(nil, text, objectName(i)), &spec); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{
		"apiVersion": k.GVK.GroupVersion().String(), "kind": k.GVK.Kind,
		"metadata": map[string]any{
			"name": objectName(i), "namespace": space(i), "finalizers": []string{"finalizers.fluxcd.io"},
			"labels": map[string]any{"kustomize.toolkit.fluxcd.io/name": "fleet", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
		},
		"spec": spec, "status": status(k, i),
	})
}

// status is what a controller notes of a good run.
func status(k kinds.Kind, i int) map[string]any {
	s := map[string]any{
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "message": "Applied revision: " + revision, "lastTransitionTime": moment, "observedGeneration": 1,
		}},
	}
	if k.GVK.Kind != "ExternalArtifact" {
		s["observedGeneration"] = 1
	}
	switch {
	case k.GVK.Kind == "Kustomization":
		s["lastAppliedRevision"], s["lastAttemptedRevision"] = revision, revision
		var entries []any
		for n := range 10 {
			entries = append(entries, map[string]any{"id": fmt.Sprintf("%s_app-%d_apps_Deployment", objectName(i), n), "v": "v1"})
		}
		s["inventory"] = map[string]any{"entries": entries}
	case k.GVK.Kind == "HelmRelease":
		s["lastAttemptedRevision"], s["helmChart"] = "1.2.3", "flux-system/"+objectName(i)
	case k.Family == kinds.Sources:
		s["artifact"] = map[string]any{"path": objectName(i), "url": "http://example.com/" + objectName(i), "revision": revision, "digest": digest, "lastUpdateTime": moment, "size": 1234}
	}
	return s
}
