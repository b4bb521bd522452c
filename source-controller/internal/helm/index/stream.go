package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"bytes"
)

var errLayout = errors.New("the index is not laid out as expected")

// streamJSON fills the index from JSON. An error says that the index has to be read
// as a whole.
func (x *Index) streamJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	rest := make(map[string]json.RawMessage)
	err := members(d, func(key string) error {
		if strings.EqualFold(key, "entries") {
			return members(d, func(name string) error { return x.streamChart(d, name) })
		}
		var raw json.RawMessage
		err := d.Decode(&raw)
		rest[key] = raw
		return err
	})
	if err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errLayout
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &x.head)
}

// streamChart reads the versions of a chart.
func (x *Index) streamChart(d *json.Decoder, name string) error {
	if _, twice := x.charts[name]; twice {
		return errLayout
	}
	x.charts[name] = nil
	if err := open(d, '['); err != nil {
		return err
	}
	for d.More() {
		var r *record
		if err := d.Decode(&r); err != nil {
			return err
		}
		if err := x.add(name, r); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// members calls fn after each key of an object; fn reads the value.
func members(d *json.Decoder, fn func(key string) error) error {
	if err := open(d, '{'); err != nil {
		return err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return errLayout
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func open(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%w: %v where %v is expected", errLayout, token, want)
	}
	return nil
}
