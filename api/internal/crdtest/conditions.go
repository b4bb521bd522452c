package crdtest

import "strings"

// ConditionRows returns the rows for status.conditions, which are the same for every
// kind.
func ConditionRows() map[string]Row {
	condition := func(fragment string) string { return "status: {conditions: [{" + fragment + "}]}" }
	return map[string]Row{
		"status.conditions[].lastTransitionTime required": {Refuse: []string{condition("lastTransitionTime: null")}},
		"status.conditions[].message required":            {Refuse: []string{condition("message: null")}},
		"status.conditions[].reason required":             {Refuse: []string{condition("reason: null")}},
		"status.conditions[].status required":             {Refuse: []string{condition("status: null")}},
		"status.conditions[].type required":               {Refuse: []string{condition("type: null")}},
		"status.conditions[].lastTransitionTime format": {
			Accept: []string{condition(`lastTransitionTime: "2026-11-23T20:41:39Z"`)},
			Refuse: []string{condition(`lastTransitionTime: yesterday`)},
		},
		"status.conditions[].message maxLength": {
			Why:    "longer messages must be cut by whoever writes them",
			Accept: []string{condition(`message: ""`), condition("message: " + strings.Repeat("x", 32768))},
			Refuse: []string{condition("message: " + strings.Repeat("x", 32769))},
		},
		"status.conditions[].observedGeneration minimum": {
			Accept: []string{condition("observedGeneration: 0")},
			Refuse: []string{condition("observedGeneration: -1")},
		},
		"status.conditions[].reason maxLength": {
			Accept: []string{condition("reason: " + strings.Repeat("x", 1024))},
			Refuse: []string{condition("reason: " + strings.Repeat("x", 1025))},
		},
		"status.conditions[].reason minLength": {
			Accept: []string{condition("reason: X")},
			Refuse: []string{condition(`reason: ""`)},
		},
		"status.conditions[].reason pattern": {
			Accept: []string{condition("reason: Succeeded")},
			Refuse: []string{condition("reason: not a word")},
		},
		"status.conditions[].status enum": {
			Accept: []string{condition(`status: "True"`), condition(`status: "False"`), condition("status: Unknown")},
			Refuse: []string{condition(`status: "true"`)},
		},
		"status.conditions[].type maxLength": {
			Accept: []string{condition("type: " + strings.Repeat("x", 316))},
			Refuse: []string{condition("type: " + strings.Repeat("x", 317))},
		},
		"status.conditions[].type pattern": {
			Accept: []string{condition("type: Ready"), condition("type: example.com/Ready")},
			Refuse: []string{condition("type: not a word")},
		},
	}
}
