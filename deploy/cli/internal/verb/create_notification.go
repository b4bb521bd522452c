package verb

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/session"
)

// receiverTypes are those of Receivers.
var receiverTypes = []string{
	"generic", "generic-hmac", receiverOIDC, "github", "gitlab", "bitbucket", "harbor", "dockerhub", "quay", "gcr", "nexus", "acr", "cdevents",
}

// receiverOIDC is the type that has rules about tokens where others have a Secret.
const receiverOIDC = "generic-oidc"

// providerTypes are those of alert providers.
var providerTypes = []string{
	"generic", "generic-hmac", "slack", "discord", "msteams", "rocket", "googlechat", "googlepubsub", "webex", "sentry", "azureeventhub", "telegram", "lark",
	"matrix", "opsgenie", "alertmanager", "grafana", "githubdispatch", "pagerduty", "datadog", "nats", "zulip", "zoom", "incident.io", "otel",
	"github", "gitlab", "gitea", "bitbucketserver", "bitbucket", "azuredevops",
	"githubpullrequestcomment", "gitlabmergerequestcomment", "giteapullrequestcomment",
}

// reporting are the kinds that events are about.
var reporting = []string{
	kustomizev1.KustomizationKind, helmv2.HelmReleaseKind,
	sourcev1.GitRepositoryKind, sourcev1.OCIRepositoryKind, sourcev1.HelmRepositoryKind, sourcev1.HelmChartKind, sourcev1.BucketKind, sourcev1.ExternalArtifactKind,
	imagev1.ImageRepositoryKind, imagev1.ImagePolicyKind, imagev1.ImageUpdateAutomationKind,
	"ArtifactGenerator",
}

// foreign makes an object of a kind that has no type here.
func (c *creation) foreign(kind, name string, spec map[string]any) ([]client.Object, error) {
	m, err := c.metadata(name)
	if err != nil {
		return nil, err
	}
	k, _ := kinds.Find(kind)
	for key, value := range spec {
		if value == "" {
			delete(spec, key)
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(k.GVK)
	u.SetName(m.Name)
	u.SetNamespace(m.Namespace)
	u.SetLabels(m.Labels)
	return []client.Object{u}, nil
}

// refTo is a map that refers to an object of a name; "" if there is none.
func refTo(name string) any {
	if name == "" {
		return ""
	}
	return map[string]any{"name": name}
}

// watched reads KIND/NAME or KIND/NAME.NAMESPACE of a flag, where the name may be *.
func watched(flag string, texts []string) ([]any, error) {
	out := make([]any, 0, len(texts))
	for _, text := range texts {
		ref, err := referred(flag, text, reporting...)
		if err != nil {
			return nil, err
		}
		one := map[string]any{"kind": ref.Kind, "name": ref.Name}
		if ref.Namespace != "" {
			one["namespace"] = ref.Namespace
		}
		out = append(out, one)
	}
	return out, nil
}

func newCreateAlert(c *creation) *cobra.Command {
	var provider, severity string
	var sources []string
	cmd := c.command("alert", "Create an Alert, for the notification-controller of Flux", `  weir create alert shop --provider-ref=slack --event-severity=error --event-source=Kustomization/shop`,
		func(_ context.Context, name string) ([]client.Object, error) {
			if err := needed(flagValue{"provider-ref", provider}); err != nil {
				return nil, err
			}
			if len(sources) == 0 {
				return nil, errors.New("--event-source is missing")
			}
			if err := oneOf("event-severity", severity, "info", "error"); err != nil {
				return nil, err
			}
			of, err := watched("event-source", sources)
			if err != nil {
				return nil, err
			}
			return c.foreign("alert", name, map[string]any{"providerRef": refTo(provider), "eventSeverity": severity, "eventSources": of})
		})
	fs := cmd.Flags()
	fs.StringVar(&provider, "provider-ref", "", "name of the alert provider")
	fs.StringVar(&severity, "event-severity", "info", "which events: info or error")
	fs.StringSliceVar(&sources, "event-source", nil, "whose events: KIND/NAME or KIND/NAME.NAMESPACE; the name may be *")
	return cmd
}

func newCreateAlertProvider(c *creation) *cobra.Command {
	var kind, channel, username, address, secret string
	cmd := c.command("alert-provider", "Create a Provider of alerts, for the notification-controller of Flux", `  weir create alert-provider slack --type=slack --channel=general --secret-ref=slack-token`,
		func(_ context.Context, name string) ([]client.Object, error) {
			if err := needed(flagValue{"type", kind}); err != nil {
				return nil, err
			}
			if err := oneOf("type", kind, providerTypes...); err != nil {
				return nil, err
			}
			return c.foreign("alert-provider", name, map[string]any{
				"type": kind, "channel": channel, "username": username, "address": address, "secretRef": refTo(secret),
			})
		})
	fs := cmd.Flags()
	fs.StringVar(&kind, "type", "", "what is told")
	fs.StringVar(&channel, "channel", "", "where it is told")
	fs.StringVar(&username, "username", "", "as whom")
	fs.StringVar(&address, "address", "", "URL of what is told")
	fs.StringVar(&secret, "secret-ref", "", "Secret with a token or the address")
	return cmd
}

func newCreateReceiver(c *creation) *cobra.Command {
	var kind, secret string
	var events, resources []string
	cmd := c.command("receiver", "Create a Receiver, for the notification-controller of Flux", `  weir create receiver github --type=github --event=ping,push --secret-ref=webhook --resource=GitRepository/shop`,
		func(_ context.Context, name string) ([]client.Object, error) {
			if kind == receiverOIDC {
				return nil, session.Hint(errors.New("a Receiver of type "+kind+" has rules in spec.oidcProviders, and no flag can say them"),
					"edit what another type gives: weir create receiver %s --type=generic --secret-ref=%s --resource=... --export", name, name)
			}
			if err := needed(flagValue{"type", kind}, flagValue{"secret-ref", secret}); err != nil {
				return nil, err
			}
			if len(resources) == 0 {
				return nil, errors.New("--resource is missing")
			}
			if err := oneOf("type", kind, receiverTypes...); err != nil {
				return nil, err
			}
			of, err := watched("resource", resources)
			if err != nil {
				return nil, err
			}
			spec := map[string]any{"type": kind, "secretRef": refTo(secret), "resources": of}
			if len(events) > 0 {
				spec["events"] = asList(events)
			}
			return c.foreign("receiver", name, spec)
		})
	fs := cmd.Flags()
	fs.StringVar(&kind, "type", "", "who calls")
	fs.StringVar(&secret, "secret-ref", "", "Secret with a token")
	fs.StringSliceVar(&events, "event", nil, "events that count; by default all")
	fs.StringSliceVar(&resources, "resource", nil, "what is reconciled then: KIND/NAME or KIND/NAME.NAMESPACE")
	return cmd
}

// asList returns texts as JSON has them.
func asList(texts []string) []any {
	out := make([]any, 0, len(texts))
	for _, text := range texts {
		out = append(out, text)
	}
	return out
}
