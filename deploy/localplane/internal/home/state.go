package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Phase is where a plane is in its life.
type Phase string

// Phases of a plane. They tell nothing once the supervisor is gone, but Failed.
const (
	Starting Phase = "starting"
	Ready    Phase = "up"
	Stopping Phase = "stopping"
	Stopped  Phase = "down"
	Failed   Phase = "failed"
)

// State is what the supervisor tells about its plane.
type State struct {
	Phase      Phase         `json:"phase"`
	Step       string        `json:"step,omitempty"`    // what is going on, for people
	Failure    string        `json:"failure,omitempty"` // why the phase is Failed
	Started    time.Time     `json:"started"`
	Idle       time.Duration `json:"idle"`
	Fsync      bool          `json:"fsync"`
	Components []Component   `json:"components,omitempty"` // in the order of their start
}

// Component is one process of a plane.
type Component struct {
	Name     string `json:"name"`
	PID      int    `json:"pid,omitempty"` // 0 while it does not run
	Restarts int    `json:"restarts"`
}

// SetState tells the state.
func (d Dir) SetState(s State) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the state of a plane: %w", err)
	}
	return Write(d.file("state.json"), data)
}

// State returns what the supervisor told last, the zero State if there was none.
func (d Dir) State() (State, error) {
	var s State
	data, err := os.ReadFile(d.file("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the state of a plane: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the state of a plane: %q: %w", d.file("state.json"), err)
	}
	return s, nil
}
