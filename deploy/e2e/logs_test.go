package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// checkLogs checks that all that a controller has written can be read by `flux logs`, `weir
// logs` and whoever collects logs, and that it has written of objects of the kinds.
func (w *world) checkLogs(controller string, kinds ...string) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.stack.Dir(), controller+".log"))
	if err != nil {
		w.t.Fatal(err)
	}
	of := make(map[string]bool)
	for line := range bytes.Lines(data) {
		var keys struct {
			TS                                          time.Time
			Level, Msg, ControllerKind, Name, Namespace string
		}
		if err := json.Unmarshal(line, &keys); err != nil || keys.TS.IsZero() || keys.Level == "" || keys.Msg == "" {
			w.t.Errorf("%s wrote a line without ts, level and msg (%v): %s", controller, err, line)
		}
		if keys.Name != "" && keys.Namespace != "" {
			of[keys.ControllerKind] = true
		}
	}
	for _, kind := range kinds {
		if !of[kind] {
			w.t.Errorf("%s wrote no line with name and namespace whose controllerKind is %s", controller, kind)
		}
	}
}
