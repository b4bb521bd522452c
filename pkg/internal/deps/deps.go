package deps

import (
	_ "github.com/ProtonMail/go-crypto/openpgp"
	_ "github.com/fluxcd/pkg/auth"
	_ "github.com/fluxcd/pkg/auth/aws"
	_ "github.com/fluxcd/pkg/auth/azure"
	_ "github.com/fluxcd/pkg/auth/gcp"
	_ "github.com/fluxcd/pkg/auth/utils"
	_ "github.com/fluxcd/pkg/cache"
	_ "github.com/google/go-containerregistry/pkg/registry"
	_ "github.com/google/go-containerregistry/pkg/v1/remote"
	_ "github.com/hiddeco/sshsig"
)
