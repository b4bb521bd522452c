package oci_test

import (
	"errors"
	"strings"
	"testing"

	"weir.dev/pkg/oci"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		url  string
		want string // empty: refused
	}{
		"plain":                {url: "oci://registry.example.com/org/app", want: "registry.example.com/org/app"},
		"port":                 {url: "oci://registry:5000/app", want: "registry:5000/app"},
		"slash at the end":     {url: "oci://registry.example.com/app/", want: "registry.example.com/app"},
		"no registry":          {why: "the library's default is what such manifests mean today", url: "oci://org/app", want: "index.docker.io/org/app"},
		"tag":                  {url: "oci://registry.example.com/app:v1"},
		"tag behind a port":    {url: "oci://registry.example.com:5000/app:v1"},
		"digest":               {url: "oci://registry.example.com/app@sha256:" + strings.Repeat("a", 64)},
		"credentials":          {url: "oci://robot:hunter2@registry.example.com/app"},
		"query":                {url: "oci://registry.example.com/app?x=y"},
		"other scheme":         {url: "https://registry.example.com/app"},
		"host alone":           {url: "oci://registry.example.com"},
		"host alone and slash": {url: "oci://registry.example.com/"},
		"nothing":              {url: "oci://"},
		"empty":                {url: ""},
		"upper case":           {url: "oci://registry.example.com/App"},
		"parts that lead up":   {why: "a server may take them for another path", url: "oci://registry.example.com/a/../b"},
		"empty part":           {url: "oci://registry.example.com/a//b"},
		"space":                {url: "oci://registry.example.com/a b"},
		"too long":             {url: "oci://registry.example.com/" + strings.Repeat("a/", 2000) + "b"},
	}
	for name, tc := range tests {
		repo, err := oci.ParseURL(tc.url)
		if tc.want == "" {
			if !errors.Is(err, oci.ErrInvalidURL) {
				t.Errorf("%s: ParseURL(%q) = %v, %v; want ErrInvalidURL (%s)", name, tc.url, repo, err, tc.why)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error tells the password: %v", name, err)
			}
			continue
		}
		if err != nil || repo.String() != tc.want {
			t.Errorf("%s: ParseURL(%q) = %q, %v; want %q (%s)", name, tc.url, repo, err, tc.want, tc.why)
		}
	}
}

func TestCheckTagAndDigest(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"latest", "v1.0.0-rc.1", "_x", strings.Repeat("a", 128)} {
		if err := oci.CheckTag(tag); err != nil {
			t.Errorf("CheckTag(%q) = %v", tag, err)
		}
	}
	for _, tag := range []string{"", "a/b", "../x", "a?b", ".x", "-x", "a b", "a:b", strings.Repeat("a", 129)} {
		if err := oci.CheckTag(tag); !errors.Is(err, oci.ErrInvalidReference) {
			t.Errorf("CheckTag(%q) = %v; want ErrInvalidReference", tag, err)
		}
	}
	if _, err := oci.ParseDigest("sha256:" + strings.Repeat("0f", 32)); err != nil {
		t.Error(err)
	}
	for _, digest := range []string{"", "sha256:", "sha256:xyz", "md5:" + strings.Repeat("0", 32), strings.Repeat("0", 64), "sha256:" + strings.Repeat("0", 63) + "/"} {
		if _, err := oci.ParseDigest(digest); !errors.Is(err, oci.ErrInvalidReference) {
			t.Errorf("ParseDigest(%q) = %v; want ErrInvalidReference", digest, err)
		}
	}
}

// FuzzParseURL: whatever a spec says, what is accepted is one repository of one host.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"oci://r.example.com/a", "oci://r:5000/a/b:c", "oci://u:p@r.example.com/a", "oci://[::1]:5000/a", "oci://a", "oci://r.example.com/%2e%2e/a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		repo, err := oci.ParseURL(url)
		if err != nil {
			if !errors.Is(err, oci.ErrInvalidURL) {
				t.Errorf("ParseURL(%q) = %v; want ErrInvalidURL", url, err)
			}
			return
		}
		if strings.ContainsAny(repo.Path(), ":@?#% ") || strings.Contains("/"+repo.Path()+"/", "/../") || strings.ContainsAny(repo.Registry(), "/@?# ") {
			t.Errorf("ParseURL(%q) = %q of %q", url, repo.Path(), repo.Registry())
		}
		again, err := oci.ParseURL(oci.Scheme + repo.String())
		if err != nil || again != repo {
			t.Errorf("ParseURL of its own result %q = %q, %v", repo, again, err)
		}
	})
}
