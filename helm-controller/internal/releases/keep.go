package releases

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// member is a field of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// extra is what JSON has and a Go type lacks.
type extra struct {
	fields []member          // of an object
	within map[string]*extra // fields that the type has, or elements of a list
}

// keep returns the JSON of a release with what a stored one has besides, and the types
// of the SDK lack.
func keep(js, stored []byte) ([]byte, error) {
	before, err := unpack(stored)
	if err != nil {
		return nil, err
	}
	e, err := extraOf(before, reflect.TypeFor[wire]())
	if err != nil {
		return nil, fault(err)
	}
	return e.addTo(js)
}

// extraOf returns what JSON has and a type lacks; nil if that is nothing.
func extraOf(js []byte, t reflect.Type) (*extra, error) {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil, nil // it reads what it likes
	}
	switch t.Kind() {
	case reflect.Pointer:
		return extraOf(js, t.Elem())
	case reflect.Struct:
		return extraOfStruct(js, t)
	case reflect.Slice:
		return extraOfList(js, t.Elem())
	default:
		return nil, nil
	}
}

func extraOfStruct(js []byte, t reflect.Type) (*extra, error) {
	found, err := members(js)
	if err != nil {
		return nil, err
	}
	e := &extra{within: make(map[string]*extra)}
	for _, m := range found {
		name, of := lookUp(t, m.name)
		if of == nil {
			e.fields = append(e.fields, m)
			continue
		}
		inner, err := extraOf(m.value, of)
		if err != nil {
			return nil, err
		}
		if inner != nil {
			e.within[name] = inner
		}
	}
	return e.orNil(), nil
}

func extraOfList(js []byte, of reflect.Type) (*extra, error) {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil, nil
	}
	list, err := elements(js)
	if err != nil {
		return nil, err
	}
	e := &extra{within: make(map[string]*extra)}
	for _, m := range list {
		inner, err := extraOf(m.value, of)
		if err != nil {
			return nil, err
		}
		if inner != nil {
			e.within[m.name] = inner
		}
	}
	return e.orNil(), nil
}

func (e *extra) orNil() *extra {
	if len(e.fields) == 0 && len(e.within) == 0 {
		return nil
	}
	return e
}

// in returns what of e is in a field.
func (e *extra) in(name string) *extra {
	if e == nil {
		return nil
	}
	return e.within[name]
}

// addTo returns JSON with what it lacks of e.
func (e *extra) addTo(js []byte) ([]byte, error) {
	split, join := members, joinObject
	switch {
	case e == nil || len(js) == 0:
		return js, nil
	case js[0] == '[':
		split, join = elements, joinList
	case js[0] != '{':
		return js, nil // it was an object, and is none any more
	}
	parts, err := split(js)
	if err != nil {
		return nil, err
	}
	present := make(map[string]bool, len(parts))
	for i, m := range parts {
		present[m.name] = true
		if parts[i].value, err = e.within[m.name].addTo(m.value); err != nil {
			return nil, err
		}
	}
	for _, m := range e.fields {
		if !present[m.name] {
			present[m.name] = true
			parts = append(parts, m)
		}
	}
	return join(parts)
}

// lookUp returns the field of a struct that JSON calls so, and its type; nil if there is
// none. Case does not count, as it does not when JSON is read.
func lookUp(t reflect.Type, name string) (string, reflect.Type) {
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous {
			continue
		}
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch tag {
		case "-":
			continue
		case "":
			tag = f.Name
		}
		if strings.EqualFold(tag, name) {
			return tag, f.Type
		}
	}
	return "", nil
}

// members splits a JSON object; null has none.
func members(js []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(js))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, err
	}
	var list []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		text, _ := name.(string) // it is one in every object
		list = append(list, member{name: text, value: value})
	}
	return list, nil
}

// elements splits a JSON list of objects; null has none. Each is called by the name and
// path in it, and by how many of that came before, so that it is found again.
func elements(js []byte) ([]member, error) {
	var values []json.RawMessage
	if err := json.Unmarshal(js, &values); err != nil {
		return nil, err
	}
	list := make([]member, 0, len(values))
	seen := make(map[string]int)
	for _, value := range values {
		var id struct {
			Name any `json:"name"`
			Path any `json:"path"`
		}
		if err := json.Unmarshal(value, &id); err != nil {
			id.Name, id.Path = nil, nil // it is no object
		}
		name, _ := id.Name.(string)
		path, _ := id.Path.(string)
		key := name + "\x00" + path
		list = append(list, member{name: key + "\x00" + strconv.Itoa(seen[key]), value: value})
		seen[key]++
	}
	return list, nil
}

func joinObject(parts []member) ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range parts {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(m.value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func joinList(parts []member) ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('[')
	for i, m := range parts {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(m.value)
	}
	out.WriteByte(']')
	return out.Bytes(), nil
}
