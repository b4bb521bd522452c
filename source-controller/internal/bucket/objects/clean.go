package objects

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

const (
	// maxText is how much of an error is shown: servers can put anything into theirs.
	maxText = 500
	// minSecret is how long a value must be to be looked for in errors.
	minSecret = 4
)

var (
	query    = regexp.MustCompile(`\?[^\s"'<>]*=[^\s"'<>]*`)
	userinfo = regexp.MustCompile(`://[^/@\s"']+@`)
)

// Clean returns err with a text that anybody may see: on one line, and without the
// queries of URLs, which can be signed, and without the secrets. It wraps what err
// wraps. The text of a nil error is none.
func Clean(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	return &cleaned{text: cleanText(err.Error(), secrets), err: err}
}

type cleaned struct {
	text string
	err  error
}

func (c *cleaned) Error() string { return c.text }
func (c *cleaned) Unwrap() error { return c.err }

func cleanText(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	text = query.ReplaceAllString(text, "")
	text = userinfo.ReplaceAllString(text, "://")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(strings.ToValidUTF8(text, "�")); len(runes) > maxText {
		return string(runes[:maxText]) + "…"
	}
	return strings.ToValidUTF8(text, "�")
}
