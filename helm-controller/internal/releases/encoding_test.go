package releases

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"
)

// packed is JSON as a Secret holds it.
func packed(t testing.TB, js string) []byte {
	t.Helper()
	data, err := pack([]byte(js), gzip.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// least is the JSON of a release of which more can be made, by %.
const least = `{"name":"demo","version":2,"info":{"status":"failed"},"chart":{"metadata":{"name":"app"}}%}`

func TestUnreadable(t *testing.T) {
	t.Parallel()
	with := func(more string) []byte { return packed(t, strings.Replace(least, "%", more, 1)) }
	whole := with("")
	tests := map[string]struct {
		why  string
		data []byte
		want string // in the error; empty if there is none
	}{
		"as Helm writes it":        {why: "nothing is wrong", data: whole},
		"not compressed":           {why: "early releases of Helm were not", data: []byte(base64.StdEncoding.EncodeToString([]byte(strings.Replace(least, "%", "", 1))))},
		"nothing":                  {why: "the key is missing", want: "broken at byte 0"},
		"no base64":                {why: "somebody edited it", data: []byte("%%%%"), want: "illegal base64"},
		"half of it":               {why: "somebody copied it", data: whole[:len(whole)/8*4], want: "unexpected EOF"},
		"a flipped bit":            {why: "gzip has a checksum", data: flipped(t, whole), want: "gzip"},
		"no JSON":                  {why: "somebody edited it", data: packed(t, "release: demo"), want: "broken at byte 1"},
		"more than JSON":           {why: "somebody edited it", data: packed(t, strings.Replace(least, "%", "", 1)+"x"), want: "broken at byte"},
		"another type":             {why: "what it is must not be told", data: with(`,"manifest":["hidden"]`), want: `"manifest"`},
		"a time of another type":   {why: "what it is must not be told", data: packed(t, `{"info":{"deleted":"hidden"}}`), want: "none of a release"},
		"null":                     {why: "it is JSON", data: packed(t, "null"), want: "lacks parts"},
		"no info":                  {why: "everybody takes it for granted", data: packed(t, `{"name":"demo","version":2,"chart":{"metadata":{}}}`), want: "lacks parts"},
		"no chart":                 {why: "everybody takes it for granted", data: packed(t, `{"name":"demo","version":2,"info":{}}`), want: "lacks parts"},
		"no metadata":              {why: "everybody takes it for granted", data: packed(t, `{"name":"demo","version":2,"info":{},"chart":{}}`), want: "lacks parts"},
		"a hook that is null":      {why: "nobody expects it", data: with(`,"hooks":[null]`), want: "lacks parts"},
		"a template that is null":  {why: "nobody expects it", data: packed(t, `{"name":"demo","version":2,"info":{},"chart":{"metadata":{},"templates":[null]}}`), want: "lacks parts"},
		"another release":          {why: "Helm would take it for this one", data: packed(t, strings.Replace(strings.Replace(least, "%", "", 1), "demo", "other", 1)), want: "another release"},
		"another version":          {why: "Helm would take it for that one", data: packed(t, strings.Replace(strings.Replace(least, "%", "", 1), ":2", ":3", 1)), want: "another release"},
		"what unpacks to too much": {why: "it must not take all memory", data: with(`,"manifest":"` + strings.Repeat("a", maxJSON) + `"`), want: "more than 32 MiB"},
		"what has too many values": {why: "it must not take all memory", data: with(`,"config":{"a":[` + strings.Repeat("[],", maxValues) + `[]]}`), want: "more than 1048576 values"},
		"more than a Secret has":   {why: "no API server stores it", data: bytes.Repeat([]byte("a"), maxStored+4), want: "more than 1048576 bytes"},
		"deep JSON":                {why: "it must not take all of the stack", data: with(`,"config":{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), want: "release"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(stored(t, demo(1, release.StatusSuperseded)), holding(2, release.StatusFailed, tc.data), stored(t, demo(3, release.StatusDeployed)))
			h := Open(v, "demo")
			_, err := h.Get(t.Context(), 2)
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("Get: %v (%s)", err, tc.why)
			case tc.want == "":
				return
			case !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "flux-system/sh.helm.release.v1.demo.v2") || strings.Contains(err.Error(), "hidden"):
				t.Fatalf("Get: %v; want ErrCorrupt, the name of the Secret, %q and nothing of what it holds (%s)", err, tc.want, tc.why)
			}
			if r, err := h.Last(t.Context()); err != nil || r.Version != 3 {
				t.Errorf("the newest version cannot be read because of another: %v", err)
			}
			all, err := h.All(t.Context())
			if len(all) != 2 || all[0].Version != 3 || all[1].Version != 1 || !errors.Is(err, ErrCorrupt) {
				t.Errorf("All returns %d versions and %v; want 3 and 1, and ErrCorrupt", len(all), err)
			}
			d := h.Driver(t.Context(), DriverOptions{})
			if err := d.Update(keyOf("demo", 2), demo(2, release.StatusSuperseded)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("it may be overwritten: %v", err)
			}
		})
	}
}

// flipped returns what a Secret holds with a bit in the middle changed.
func flipped(t *testing.T, data []byte) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-6] ^= 1 // of the checksum
	return []byte(base64.StdEncoding.EncodeToString(raw))
}

func TestTooLargeToStore(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{})
	if _, err := random.Read(noise); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why  string
		rel  func(*release.Release)
		want string
	}{
		"does not shrink":   {why: "a Secret has a limit", rel: func(r *release.Release) { r.Chart.Templates[0].Data = noise }, want: ".helmignore"},
		"could not be read": {why: "nobody else would read it", rel: func(r *release.Release) { r.Manifest = strings.Repeat("a", maxJSON) }, want: "32 MiB"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault()
			rel := demo(1, release.StatusPendingInstall)
			tc.rel(rel)
			err := Open(v, "demo").Driver(t.Context(), DriverOptions{}).Create(keyOf("demo", 1), rel)
			if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Create: %v; want ErrTooLarge and %q (%s)", err, tc.want, tc.why)
			}
			if asked := v.asked(); asked["create"] != 0 {
				t.Errorf("the API server was asked: %v", asked)
			}
		})
	}
}

// TestStrongerCompression: what the best compression makes fit is not refused.
func TestStrongerCompression(t *testing.T) {
	t.Parallel()
	// What repeats itself is further away than the usual level looks.
	random := rand.New(rand.NewPCG(1, 2))
	cycle := make([]byte, 30<<10)
	for i := range cycle {
		cycle[i] = "abc"[random.IntN(3)]
	}
	rel := demo(1, release.StatusDeployed)
	rel.Manifest = strings.Repeat(string(cycle), 130)
	usual, err := pack([]byte(text(t, rel)), gzip.DefaultCompression)
	if err != nil || len(usual) <= maxStored {
		t.Fatalf("it fits by itself, with %d bytes: %v", len(usual), err)
	}
	if stored, _, err := encode(rel, "", nil); err != nil {
		t.Error(err)
	} else if got, _, _, err := decode(stored); err != nil || got.Manifest != rel.Manifest {
		t.Errorf("it comes back otherwise: %v", err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, key, name string
		version        int
	}{
		"Helm's":             {why: "it is one", key: "sh.helm.release.v1.demo.v12", name: "demo", version: 12},
		"a name with dots":   {why: "names may have them", key: "sh.helm.release.v1.a.v2.v3", name: "a.v2", version: 3},
		"another object":     {why: "others have the label owner=helm, too", key: "demo"},
		"no version":         {why: "it is not Helm's", key: "sh.helm.release.v1.demo"},
		"no name":            {why: "it is not Helm's", key: "sh.helm.release.v1..v1"},
		"a copy":             {why: "Helm would not find it", key: "sh.helm.release.v1.demo.v1-old"},
		"version zero":       {why: "Helm begins with 1", key: "sh.helm.release.v1.demo.v0"},
		"a leading zero":     {why: "Helm would not find it", key: "sh.helm.release.v1.demo.v01"},
		"a sign":             {why: "Helm would not find it", key: "sh.helm.release.v1.demo.v+1"},
		"a negative version": {why: "Helm begins with 1", key: "sh.helm.release.v1.demo.v-1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, version, ok := parseKey(tc.key)
			if got != tc.name || version != tc.version || ok != (tc.name != "") {
				t.Errorf("parseKey(%q) = %q, %d, %t; want %q, %d (%s)", tc.key, got, version, ok, tc.name, tc.version, tc.why)
			}
		})
	}
}

// FuzzDecode: whatever a Secret holds, it is refused, or it can be written again and is
// the same then.
func FuzzDecode(f *testing.F) {
	secrets, _ := recorded(f)
	for _, s := range secrets {
		js, err := unpack(s.Data[dataKey])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(js)
	}
	f.Add([]byte(strings.Replace(least, "%", `,"hooks":[{"x":1,"last_run":{"y":{}}},{}],"x":[null]`, 1)))
	f.Add([]byte(strings.Replace(least, "%", `,"Hooks":[{"name":"a"}],"config":{"a":1e300},"x":1,"x":2`, 1)))
	f.Fuzz(func(t *testing.T, js []byte) {
		if _, _, _, err := decode(js); err == nil {
			t.Log("a Secret may hold base64 by chance")
		}
		before := packed(t, string(js))
		rel, method, _, err := decode(before)
		if err != nil {
			return
		}
		after, written, err := encode(rel, method, before)
		if errors.Is(err, ErrTooLarge) {
			return
		} else if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, kept, _, err := decode(after)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written)
		}
		if kept != method {
			t.Errorf("the method was %q and is %q", method, kept)
		}
		was, is := observe(rel, "").digest(digest.SHA256, nil), observe(again, "").digest(digest.SHA256, nil)
		if was != is || was == "" {
			t.Errorf("the digest was %q and is %q\n%s\n%s", was, is, js, written)
		}
		r := &Release{Release: rel, stored: before}
		if w := (&Release{Release: again, stored: after}); !cmp.Equal(r.extra(), w.extra(), cmp.AllowUnexported(extra{}, member{}), cmp.Comparer(sameJSON)) {
			t.Errorf("what only the JSON has is not kept\n%s\n%s", js, written)
		}
	})
}

// sameJSON compares JSON but for white space.
func sameJSON(a, b []byte) bool {
	return bytes.Equal(compact(a), compact(b))
}
