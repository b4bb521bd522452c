package creds

// Hidden is a text that is not printed by accident. A method String does not do
// for that: fmt calls none of an unexported field, so whoever keeps a plain string
// in a struct shows it to whoever prints the struct. A pointer to a string is what
// fmt does not follow, whatever the verb. The zero value is empty.
type Hidden struct{ text *string }

// Hide returns a Hidden that holds text.
func Hide(text string) Hidden {
	if text == "" {
		return Hidden{}
	}
	return Hidden{text: &text}
}

// Reveal returns the text.
func (h Hidden) Reveal() string {
	if h.text == nil {
		return ""
	}
	return *h.text
}

// Empty reports whether there is no text.
func (h Hidden) Empty() bool { return h.text == nil }

// Equal reports whether both hold the same text.
func (h Hidden) Equal(other Hidden) bool { return h.Reveal() == other.Reveal() }

// String tells nothing of the text.
func (h Hidden) String() string { return "…" }

// GoString tells nothing of the text.
func (h Hidden) GoString() string { return "creds.Hidden{…}" }
