package verb

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/session"
)

// createBucket makes a Bucket.
type createBucket struct {
	*creation
	spec                                 sourcev1.BucketSpec
	provider, secret, proxy              string
	accessKey, secretKey                 string
	sts, stsEndpoint, stsSecret, stsCert string
	ignore                               []string
}

func newCreateBucket(c *creation) *cobra.Command {
	b := &createBucket{creation: c}
	cmd := c.command("bucket", "Create a Bucket", `  weir create source bucket podinfo --bucket-name=podinfo --endpoint=minio.example.com --secret-ref=minio-auth`, b.build)
	fs := cmd.Flags()
	fs.StringVar(&b.spec.BucketName, "bucket-name", "", "name of the bucket")
	fs.StringVar(&b.spec.Endpoint, "endpoint", "", "address of the storage")
	fs.StringVar(&b.spec.Region, "region", "", "region of the bucket")
	fs.BoolVar(&b.spec.Insecure, "insecure", false, "talk to the storage by http")
	fs.StringVar(&b.provider, "provider", "generic", "kind of storage: generic, aws, azure or gcp")
	fs.StringVar(&b.accessKey, "access-key", "", "access key")
	fs.StringVar(&b.secretKey, "secret-key", "", "secret key; better in the variable "+bucketVariable+", or - to read it")
	fs.StringVar(&b.secret, "secret-ref", "", "Secret that there is, with which the controller gets in")
	fs.StringVar(&b.proxy, "proxy-secret-ref", "", "Secret with the address of a proxy")
	fs.StringSliceVar(&b.ignore, "ignore-paths", nil, "what to leave out, in the format of .gitignore")
	fs.StringVar(&b.sts, "sts-provider", "", "what gives temporary credentials: aws or ldap")
	fs.StringVar(&b.stsEndpoint, "sts-endpoint", "", "address of what gives temporary credentials")
	fs.StringVar(&b.stsSecret, "sts-secret-ref", "", "Secret for what gives temporary credentials")
	fs.StringVar(&b.stsCert, "sts-cert-secret-ref", "", "Secret with certificates for what gives temporary credentials")
	return cmd
}

func (b *createBucket) build(ctx context.Context, name string) ([]client.Object, error) {
	m, err := b.metadata(name)
	if err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	spec := b.spec
	spec.Provider, spec.Interval, spec.Ignore = sourcev1.BucketProvider(b.provider), b.every(), ignoreRules(b.ignore)
	spec.SecretRef, spec.ProxySecretRef = localRef(b.secret), localRef(b.proxy)
	if b.sts != "" {
		spec.STS = &sourcev1.BucketSTSSpec{
			Provider: sourcev1.STSProvider(b.sts), Endpoint: b.stsEndpoint, SecretRef: localRef(b.stsSecret), CertSecretRef: localRef(b.stsCert),
		}
	}
	bucket := &sourcev1.Bucket{ObjectMeta: m, Spec: spec}
	if b.accessKey == "" {
		return []client.Object{bucket}, nil
	}
	if b.export {
		return nil, session.Hint(errors.New("what lets the controller in does not belong into Git as it is"),
			"make a Secret with accesskey and secretkey, and name it by --secret-ref")
	}
	key, err := b.Secret(ctx, b.secretKey, bucketVariable, "secret key")
	if err != nil {
		return nil, err
	}
	secret, err := b.secretOf(name, map[string][]byte{"accesskey": []byte(b.accessKey), "secretkey": []byte(key.Reveal())})
	bucket.Spec.SecretRef = localRef(name)
	return []client.Object{secret, bucket}, err
}

// check refuses flags that do not go together.
func (b *createBucket) check() error {
	if err := needed(flagValue{"bucket-name", b.spec.BucketName}, flagValue{"endpoint", b.spec.Endpoint}); err != nil {
		return err
	}
	if err := oneOf("provider", b.provider, "generic", "aws", "azure", "gcp"); err != nil {
		return err
	}
	switch {
	case b.accessKey == "" && b.secretKey != "":
		return errors.New("--access-key is missing")
	case b.accessKey != "" && b.secret != "":
		return errors.New("--secret-ref names a Secret that there is: leave out --access-key and --secret-key")
	case b.sts == "" && (b.stsEndpoint != "" || b.stsSecret != "" || b.stsCert != ""):
		return errors.New("--sts-provider is missing")
	case b.sts == "":
		return nil
	}
	if err := needed(flagValue{"sts-endpoint", b.stsEndpoint}); err != nil {
		return err
	}
	return oneOf("sts-provider", b.sts, "aws", "ldap")
}
