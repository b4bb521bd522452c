package writeback

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

const (
	// maxPattern is how many bytes a regular expression may have.
	maxPattern = 1 << 10
	// maxSearched is how many bytes it may search.
	maxSearched = 16 << 10
	// maxCompared is how long a list may be of which each is compared with each.
	maxCompared = 1 << 10
	// maxNumber is how large the numbers of a list may be.
	maxNumber = 1 << 40
)

// unrepeatable are functions of sprig that do not always make the same of the same, or
// work long on purpose, beside those that sprig takes for not hermetic itself.
var unrepeatable = []string{
	"ago", "bcrypt", "buildCustomCert", "decryptAES", "derivePassword", "encryptAES", "genCA", "genCAWithKey",
	"genPrivateKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
	"htpasswd", "mustDateModify", "must_date_modify", "mustToDate", "randInt", "shuffle", "toDate",
}

// functions returns what templates can call.
func (f *fuel) functions() template.FuncMap {
	all := sprig.HermeticTxtFuncMap()
	for _, name := range unrepeatable {
		delete(all, name)
	}
	for name, fn := range map[string]any{
		"print":    fmt.Sprint,
		"printf":   fmt.Sprintf,
		"println":  fmt.Sprintln,
		"html":     template.HTMLEscaper,
		"js":       template.JSEscaper,
		"urlquery": template.URLQueryEscaper,
		"keys":     sortedKeys,
		"values":   sortedValues,
	} {
		all[name] = fn
	}
	limits := f.multiplying()
	for name, fn := range all {
		all[name] = f.metered(fn, limits[name])
	}
	all[stepName] = f.step
	return all
}

// sortedKeys is keys of sprig, in an order that is always the same.
func sortedKeys(dicts ...map[string]any) []string {
	var all []string
	for _, d := range dicts {
		all = append(all, slices.Sorted(maps.Keys(d))...)
	}
	return all
}

// sortedValues is values of sprig, in the order of their keys.
func sortedValues(dict map[string]any) []any {
	var all []any
	for _, key := range sortedKeys(dict) {
		all = append(all, dict[key])
	}
	return all
}

// limit refuses arguments of a function.
type limit func(args []reflect.Value) error

// multiplying are functions that can return, or do, far more than they are given, and
// what they may be given.
func (f *fuel) multiplying() map[string]limit {
	limits := map[string]limit{
		"repeat":    func(a []reflect.Value) error { return product(whole(a[0]), a[1].Len()) },
		"indent":    func(a []reflect.Value) error { return product(whole(a[0]), lines(a[1])) },
		"nindent":   func(a []reflect.Value) error { return product(whole(a[0]), lines(a[1])) },
		"until":     func(a []reflect.Value) error { return count(0, whole(a[0]), sign(whole(a[0]))) },
		"untilStep": func(a []reflect.Value) error { return count(whole(a[0]), whole(a[1]), whole(a[2])) },
		"seq":       sequence,
		"replace": func(a []reflect.Value) error {
			return product(strings.Count(a[2].String(), a[0].String()), a[1].Len())
		},
		"join":     func(a []reflect.Value) error { return product(elements(a[1]), a[0].Len()) },
		"wrapWith": func(a []reflect.Value) error { return product(a[2].Len(), a[1].Len()) },
		"printf":   func(a []reflect.Value) error { return widths(a[0].String()) },
	}
	for _, name := range []string{"Match", "FindAll", "Find", "Split"} {
		limits["regex"+name], limits["mustRegex"+name] = f.searching, f.searching
	}
	for _, name := range []string{"ReplaceAll", "ReplaceAllLiteral"} {
		limits["regex"+name], limits["mustRegex"+name] = f.replacing, f.replacing
	}
	for _, name := range []string{"uniq", "mustUniq", "without", "mustWithout"} {
		limits[name] = comparing
	}
	return limits
}

// product refuses what would make n pieces of so many bytes.
func product(n, each int) error {
	if n > 0 && each > 0 && n > maxValue/each {
		return errLarge
	}
	return nil
}

func whole(v reflect.Value) int { return int(v.Int()) }

func lines(v reflect.Value) int { return strings.Count(v.String(), "\n") + 1 }

// elements is how many a list has.
func elements(v reflect.Value) int {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Array {
		return v.Len()
	}
	return 1
}

// comparing refuses lists of which each is compared with each.
func comparing(args []reflect.Value) error {
	if elements(args[0]) > maxCompared {
		return fmt.Errorf("a list of more than %d is searched for what it has twice", maxCompared)
	}
	return nil
}

// count refuses a list of too many numbers, and numbers so large that adding to them may
// lead back to small ones.
func count(start, stop, step int) error {
	for _, n := range []int{start, stop, step} {
		if n > maxNumber || n < -maxNumber {
			return errLarge
		}
	}
	if step != 0 && (stop-start)/step > maxValue/stepCost {
		return errLarge
	}
	return nil
}

// sequence is count for the arguments of seq: the last, the first and the last, or the
// first, the step and the last.
func sequence(args []reflect.Value) error {
	n := args[0]
	switch n.Len() {
	case 1:
		return count(1, whole(n.Index(0)), sign(whole(n.Index(0))-1))
	case 2:
		first, last := whole(n.Index(0)), whole(n.Index(1))
		if last < first {
			return count(last, first, 1)
		}
		return count(first, last, 1)
	case 3:
		return count(whole(n.Index(0)), whole(n.Index(2)), whole(n.Index(1)))
	default:
		return nil
	}
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

// unfit is a number that a format pads to, or that an argument gives, and an address.
var unfit = regexp.MustCompile(`[0-9]{4,}|\*|%[^a-zA-Z%]*p`)

// widths refuses formats that make much of little, or another thing each time.
func widths(format string) error {
	if found := unfit.FindString(format); found != "" {
		return fmt.Errorf("a format must not have %q", found[:min(len(found), 16)])
	}
	return product(strings.Count(format, "%"), 999)
}

// often is a count that makes a regular expression far larger than it looks.
var often = regexp.MustCompile(`\{[0-9,]{3,}`)

// searching limits a regular expression and the text that it is used on. The work may be
// that of trying each part of one at each place of the other.
func (f *fuel) searching(args []reflect.Value) error {
	pattern, text := args[0].String(), args[1].Len()
	switch {
	case len(pattern) > maxPattern:
		return fmt.Errorf("a regular expression has more than %d bytes", maxPattern)
	case often.MatchString(pattern):
		return errors.New("a regular expression counts further than 99")
	case text > maxSearched:
		return fmt.Errorf("a text of more than %d bytes is searched", maxSearched)
	}
	return f.burn(len(pattern) * text)
}

// replacing is searching for what puts something in at each place that it finds: anywhere
// in the text, and what it has found as often as the replacement says.
func (f *fuel) replacing(args []reflect.Value) error {
	text, replacement := args[1].Len()+1, args[2].String()
	return errors.Join(
		f.searching(args),
		product(text, len(replacement)),
		product(text, strings.Count(replacement, "$")),
	)
}
