package index

import (
	"bytes"
	"encoding/json"
	"strings"
)

// safe reports whether a line of a text without quotes has nothing in it that means
// anything to YAML.
func safe(text []byte) bool {
	switch c := text[0]; {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
	case strings.IndexByte("/_^($", c) >= 0:
	default:
		return false
	}
	if text[len(text)-1] == ':' {
		return false
	}
	return !bytes.Contains(text, []byte(": ")) && !bytes.Contains(text, []byte(" #"))
}

// reserved reports whether a word without quotes could be another thing than a text.
func reserved(word []byte) bool {
	if len(word) > 5 {
		return false
	}
	switch strings.ToLower(string(word)) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~":
		return true
	default:
		return false
	}
}

// numeric reports whether a word without quotes, which does not begin with a sign or
// a dot, could be a number.
func numeric(word []byte) bool {
	if word[0] < '0' || word[0] > '9' {
		return false
	}
	if word[0] == '0' && len(word) > 1 && strings.IndexByte("xXbBoO_", word[1]) >= 0 {
		return true
	}
	dots := 0
	for _, c := range word {
		switch {
		case c == '.':
			dots++
		case c >= '0' && c <= '9', c == '_', c == 'e', c == 'E', c == '+', c == '-':
		default:
			return false
		}
	}
	return dots < 2
}

// appendString appends text as a JSON string.
func appendString(out, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(string(text)) // a string cannot fail
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"')
}
