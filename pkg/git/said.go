package git

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"weir.dev/pkg/creds"
)

// maxSaid bounds what an error quotes of a remote, in bytes.
const maxSaid = 512

// escape is what changes the colour of a terminal, and the like.
var escape = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// clean returns the beginning of what a remote says, on one line, without what moves a
// cursor, and without the credentials, which a remote may echo.
func (r *Remote) clean(said string) string {
	said = escape.ReplaceAllString(r.withoutSecrets(said), "")
	var lines []string
	for line := range strings.FieldsFuncSeq(said, func(c rune) bool { return c == '\n' || c == '\r' }) {
		line = strings.TrimSpace(strings.Map(printable, strings.ToValidUTF8(line, "�")))
		if line != "" {
			lines = append(lines, line)
		}
	}
	return cut(strings.Join(lines, "; "), maxSaid)
}

// unusable says why an answer cannot be used, without what a remote should not repeat. What
// was done with it goes before that; a refusal speaks for itself.
func (r *Remote) unusable(doing string, err error) error {
	var refused *pktline.ErrorLine
	var odd *packp.ErrUnexpectedData
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%w: it says %q", ErrProtocol, r.clean(refused.Text))
	case errors.As(err, &odd):
		return fmt.Errorf("%w: %s%q", ErrProtocol, doing, r.clean(odd.Msg))
	default:
		return fmt.Errorf("%w: %s%w", ErrProtocol, doing, r.discreet(err))
	}
}

// discreet returns an error of a library, or one with less in it if that quotes what should
// not be quoted.
func (r *Remote) discreet(err error) error {
	if text := r.clean(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// printable drops what shows nothing, or changes how others are shown.
func printable(c rune) rune {
	switch {
	case c == '\t':
		return ' '
	case !unicode.IsPrint(c):
		return -1
	default:
		return c
	}
}

// cut returns the beginning of a text, which ends with a whole character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// withoutSecrets replaces the credentials in a text, in the forms that they are sent in.
func (r *Remote) withoutSecrets(text string) string {
	c := r.creds
	secrets := []string{c.Password.Reveal(), c.BearerToken.Reveal()}
	if proxy := c.Proxy.URL(); proxy != nil {
		password, _ := proxy.User.Password()
		secrets = append(secrets, password)
	}
	if !c.Password.Empty() {
		pair := c.Username.Reveal() + ":" + c.Password.Reveal()
		text = strings.ReplaceAll(text, base64.StdEncoding.EncodeToString([]byte(pair)), creds.Hidden{}.String())
	}
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		quoted := strconv.Quote(secret)
		for _, form := range []string{secret, quoted[1 : len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:]} {
			text = strings.ReplaceAll(text, form, creds.Hidden{}.String())
		}
	}
	return text
}

// words collects the beginning of what a remote says beside its answer.
type words struct {
	data []byte
	more bool // there was more than is kept
}

func (w *words) Write(p []byte) (int, error) {
	const most = 8 * maxSaid
	kept := min(len(p), most-len(w.data))
	w.data = append(w.data, p[:kept]...)
	w.more = w.more || kept < len(p)
	return len(p), nil
}

// String returns what is kept. A word that is not whole is left out: it may be the
// beginning of a secret.
func (w *words) String() string {
	if !w.more {
		return string(w.data)
	}
	end := strings.LastIndexFunc(string(w.data), unicode.IsSpace)
	return string(w.data[:max(end, 0)])
}
