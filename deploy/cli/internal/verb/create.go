package verb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/kinds"
	"weir.dev/deploy/cli/internal/owner"
	"weir.dev/deploy/cli/internal/session"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
)

// creation is what all of create has.
type creation struct {
	*session.Session
	interval time.Duration
	export   bool
	labels   []string
}

func newCreate(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Create objects or change them, or print them for Git",
		Long: `Creates an object of flags, or brings the one that there is to what they say, and waits
until it is ready. With --export it prints what would be applied instead, and changes
nothing.`,
		Example: `  weir create source git podinfo --url=https://example.com/podinfo.git --branch=main --export > source.yaml
  weir create kustomization podinfo --source=GitRepository/podinfo --path=./deploy --prune
  weir create secret git podinfo-auth --url=ssh://git@example.com/podinfo`,
	}
	c := &creation{Session: s}
	flags := cmd.PersistentFlags()
	flags.DurationVar(&c.interval, "interval", time.Minute, "how often the controller looks for changes")
	flags.BoolVar(&c.export, "export", false, "print what would be applied, and change nothing")
	flags.StringSliceVar(&c.labels, "label", nil, "labels of the object: team=shop,tier=web")
	cmd.AddCommand(
		group("source", kinds.Sources, "Create "+about[kinds.Sources],
			newCreateGit(c), newCreateOCI(c), newCreateHelm(c), newCreateChart(c), newCreateBucket(c)),
		group("image", kinds.Images, "Create objects about "+about[kinds.Images],
			newCreateImageRepository(c), newCreateImagePolicy(c), newCreateImageUpdate(c)),
		group("secret", "secrets", "Create Secrets that controllers get in by",
			newCreateSecretGit(c), newCreateSecretGitHubApp(c), newCreateSecretHelm(c), newCreateSecretNotation(c),
			newCreateSecretOCI(c), newCreateSecretProxy(c), newCreateSecretReceiver(c), newCreateSecretTLS(c)),
		newCreateKustomization(c), newCreateHelmRelease(c), newCreateTenant(c),
		newCreateAlert(c), newCreateAlertProvider(c), newCreateReceiver(c),
	)
	choose(cmd)
	return cmd
}

// group returns a command that only has commands.
func group(use, alias, short string, of ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	if alias != "" {
		cmd.Aliases = []string{alias}
	}
	cmd.AddCommand(of...)
	choose(cmd)
	return cmd
}

// command returns a command that makes objects of a name.
func (c *creation) command(use, short, example string, build func(ctx context.Context, name string) ([]client.Object, error)) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Example: example, Args: oneName, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			objs, err := build(cmd.Context(), args[0]) // which may ask somebody, who may think
			if err != nil {
				return err
			}
			ctx, cancel := c.Context(cmd.Context())
			defer cancel()
			return c.finish(ctx, objs)
		},
	}
}

// finish prints objects, or brings them into the cluster and waits until they are ready.
func (c *creation) finish(ctx context.Context, objs []client.Object) error {
	wanted, err := wished(objs)
	if err != nil {
		return err
	}
	if c.export {
		for _, obj := range wanted {
			if err := legible(obj); err != nil {
				return err
			}
		}
		return printManifests(c.Out, wanted)
	}
	h, err := newHand(c.Session)
	if err != nil {
		return err
	}
	if err := h.put(ctx, wanted); err != nil {
		return err
	}
	for _, obj := range wanted {
		if err := h.untilReady(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

// put brings objects into the cluster, and says what that changed.
func (h *hand) put(ctx context.Context, objs []*unstructured.Unstructured) error {
	for _, obj := range objs {
		k, known := kinds.Of(obj.GroupVersionKind().GroupKind())
		if !known {
			continue
		}
		if _, err := h.reader.Mapping(k); err != nil {
			return err // which says what to do about it
		}
	}
	for _, obj := range objs {
		h.warnOfOwner(ctx, obj)
	}
	writer, err := newWriter(h.Session)
	if err != nil {
		return err
	}
	changes, err := writer.Put(ctx, types.NamespacedName{}, objs, false)
	for _, change := range changes {
		if err == nil || change.Effect != apply.Unchanged {
			h.Done("%s %s", change.ID, change.Effect)
		}
	}
	return err
}

// warnOfOwner warns who is about to change an object by hand that is applied from elsewhere.
func (h *hand) warnOfOwner(ctx context.Context, obj *unstructured.Unstructured) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(obj.GroupVersionKind())
	if h.client.Get(ctx, client.ObjectKeyFromObject(obj), live) != nil {
		return // it is new, or what is wrong is seen when it is put
	}
	above, err := owner.Cluster{Client: h.client, Mapper: h.reader.Mapper}.Above(ctx, live)
	if err == nil && above != nil {
		h.Warn("%s is applied by %s, which will undo this: change it there, or print it for there by --export", manifest.IDOf(obj), above.ID)
	}
}

// untilReady waits until an object is ready, if a controller says that of its kind.
func (h *hand) untilReady(ctx context.Context, obj *unstructured.Unstructured) error {
	if _, known := kinds.Of(obj.GroupVersionKind().GroupKind()); !known {
		return nil
	}
	o, err := kinds.Read(obj)
	if err != nil || kinds.IsStatic(o) {
		return err
	}
	h.Waiting("waiting until %s is ready", name(obj))
	done, err := h.wait(ctx, obj, await.Ready)
	if err != nil {
		return failure(obj, err)
	}
	return h.result(done)
}

// metadata is that of a new object.
func (c *creation) metadata(name string) (metav1.ObjectMeta, error) {
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return metav1.ObjectMeta{}, session.Hint(fmt.Errorf("%q is no name of an object", name),
			"names have small letters, digits, '-' and '.', begin and end with a letter or digit, and are no longer than %d", validation.DNS1123SubdomainMaxLength)
	}
	out := metav1.ObjectMeta{Name: name, Namespace: c.Namespace()}
	if len(c.labels) > 0 {
		set, err := labels.ConvertSelectorToLabelsMap(strings.Join(c.labels, ","))
		if err != nil {
			return out, fmt.Errorf("--label: %w", err)
		}
		out.Labels = set
	}
	return out, nil
}

// every is how often a controller looks for changes.
func (c *creation) every() metav1.Duration { return metav1.Duration{Duration: c.interval} }

// wished returns what is applied of objects: what somebody wants them to be, and nothing
// that controllers say of them.
func wished(objs []client.Object) ([]*unstructured.Unstructured, error) {
	scheme, err := session.Scheme()
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, obj := range objs {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			gvk, err := apiutil.GVKForObject(obj, scheme)
			if err != nil {
				return nil, err
			}
			if u, err = asWritten(obj); err != nil {
				return nil, err
			}
			u.SetGroupVersionKind(gvk)
		}
		out = append(out, u)
	}
	return out, nil
}

// asWritten returns an object as a manifest has it.
func asWritten(obj client.Object) (*unstructured.Unstructured, error) {
	data, err := utiljson.Marshal(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(data, &u.Object); err != nil {
		return nil, err
	}
	delete(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	if spec, ok := u.Object["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(u.Object, "spec")
	}
	return u, nil
}

// legible has a Secret show the text in it as text, as somebody would write it who is going to
// encrypt it.
func legible(obj *unstructured.Unstructured) error {
	if obj.GetObjectKind().GroupVersionKind().GroupKind() != corev1.SchemeGroupVersion.WithKind("Secret").GroupKind() {
		return nil
	}
	secret := &corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, secret); err != nil {
		return err
	}
	text := make(map[string]any)
	for key, value := range secret.Data {
		if utf8.Valid(value) && !bytes.ContainsRune(value, 0) {
			text[key] = string(value)
			unstructured.RemoveNestedField(obj.Object, "data", key)
		}
	}
	if len(text) == len(secret.Data) {
		delete(obj.Object, "data")
	}
	return unstructured.SetNestedMap(obj.Object, text, "stringData")
}

// printManifests prints objects as manifests.
func printManifests(w io.Writer, objs []*unstructured.Unstructured) error {
	for _, obj := range objs {
		data, err := yaml.Marshal(obj.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", data); err != nil {
			return err
		}
	}
	return nil
}

// flagValue is a flag and what it was set to.
type flagValue struct{ flag, value string }

// needed refuses flags that are empty and must not be.
func needed(flags ...flagValue) error {
	for _, f := range flags {
		if f.value == "" {
			return fmt.Errorf("--%s is missing", f.flag)
		}
	}
	return nil
}

// oneOf refuses a value of a flag that there is not.
func oneOf(flag, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return session.Hint(fmt.Errorf("--%s does not know %q", flag, value), "it knows: %s", strings.Join(known, ", "))
}

// referred reads KIND/NAME or KIND/NAME.NAMESPACE, where the kind is one of those that are
// allowed; without a kind it is the first of them.
func referred(flag, text string, allowed ...string) (kinds.Reference, error) {
	kind, rest, found := strings.Cut(text, "/")
	if !found {
		kind, rest = allowed[0], text
	}
	ref := kinds.Reference{Kind: canonical(kind, allowed), Name: rest}
	if at := strings.LastIndex(rest, "."); at >= 0 {
		ref.Name, ref.Namespace = rest[:at], rest[at+1:]
	}
	if ref.Kind == "" || ref.Name == "" || strings.Contains(ref.Name, "/") {
		return ref, session.Hint(fmt.Errorf("--%s is %q", flag, text), "it is KIND/NAME or KIND/NAME.NAMESPACE, where KIND is one of: %s", strings.Join(allowed, ", "))
	}
	return ref, nil
}

// canonical returns the allowed kind that is called name, "" if none is.
func canonical(name string, allowed []string) string {
	for _, kind := range allowed {
		if strings.EqualFold(kind, name) {
			return kind
		}
	}
	if k, ok := kinds.Find(name); ok && slices.Contains(allowed, k.GVK.Kind) {
		return k.GVK.Kind
	}
	return ""
}
