package stdtest

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const sampleOutput = "=== RUN   TestA\n" +
	"    --- PASS: TestA/sub (0.00s)\n" +
	"--- PASS: TestA (0.01s)\r\n" +
	"=== RUN   TestB\n" +
	"    b_test.go:3: --- PASS: no\n" +
	"--- FAIL: TestB (1.00s)\n" +
	"=== RUN   TestC\n" +
	"noise without a newline--- SKIP: TestC (0.00s)\n" +
	"=== RUN   ExampleD\n" +
	"--- PASS: ExampleD (0.00s)\n"

func TestParseOutput_sample_countsTopLevelTests(t *testing.T) {
	o, err := ParseOutput(strings.NewReader(sampleOutput + "FAIL\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Pass, []string{"TestA", "ExampleD"}) || !slices.Equal(o.Fail, []string{"TestB"}) ||
		!slices.Equal(o.Skip, []string{"TestC"}) || o.Verdict != "FAIL" || o.Running != "" || o.Panic != "" {
		t.Errorf("got %+v", o)
	}
}

func TestParseOutput_brokenOff_namesTheRunningTest(t *testing.T) {
	o, err := ParseOutput(strings.NewReader(sampleOutput + "=== RUN   TestE\nfatal error: out of memory\ngoroutine 1:\n"))
	if err != nil || o.Running != "TestE" || o.Verdict != "" || o.Panic != "fatal error: out of memory" {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestParseList_sample_readsEverything(t *testing.T) {
	list, err := ParseList("l", `# comment
bytes ci

runtime mem=1024 limit=3m tags=a,b -test.count=2
	fail TestA it has a reason
	skip TestB another one
	note one
	note two
`)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	if e := list[0]; e.Package != "bytes" || !e.CI || e.MemoryMiB != defaultMemoryMiB || e.Limit != defaultLimit {
		t.Errorf("first %+v", e)
	}
	e := list[1]
	if e.CI || e.MemoryMiB != 1024 || e.Limit != 3*time.Minute || e.Tags != "a,b" || e.Fail["TestA"] != "it has a reason" ||
		e.Skip["TestB"] != "another one" || e.Note != "one two" {
		t.Errorf("second %+v", e)
	}
	if got := strings.Join(e.args(), " "); !strings.HasSuffix(got, "-test.timeout=3m0s -test.skip=^(TestB)$ -test.count=2") {
		t.Errorf("args %q", got)
	}
}

func TestParseList_malformed_isRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"\tfail TestA why":                       "l:1: ",
		"bytes\nbytes":                           "l:2: ",
		"bytes fast":                             `"fast"`,
		"bytes tags=":                            `"tags="`,
		"bytes mem=lots":                         `"mem=lots"`,
		"bytes limit=1":                          `"limit=1"`,
		"bytes\n\tfail TestA":                    "l:2: ",
		"bytes\n\tfail TestA x\n\tskip TestA x":  "l:3: ",
		"bytes\n\tpass TestA because it is good": "l:2: ",
	} {
		if _, err := ParseList("l", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v, want an error with %q", text, err, want)
		}
	}
}

func TestParseList_committedList_holdsThePromisedPackages(t *testing.T) {
	text, err := os.ReadFile("../std.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseList("std.txt", string(text))
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	short := 0
	for _, e := range list {
		have = append(have, e.Package)
		if e.CI {
			short++
		}
	}
	promised := `bytes container/heap container/list container/ring context crypto/aes crypto/cipher crypto/ecdsa crypto/ed25519
		crypto/hmac crypto/rand crypto/sha256 crypto/sha512 encoding/base64 encoding/binary encoding/hex errors fmt hash/adler32
		hash/crc32 hash/crc64 hash/fnv hash/maphash io maps math math/big math/bits math/rand/v2 net/netip path regexp/syntax
		runtime slices sort strconv strings sync sync/atomic time unicode/utf8`
	for _, p := range strings.Fields(promised) {
		if !slices.Contains(have, p) {
			t.Errorf("%s is not listed", p)
		}
	}
	if short == 0 {
		t.Error("no package is marked ci")
	}
}

func TestSurprises_againstTheList(t *testing.T) {
	entry := func() *Entry { return &Entry{Package: "p", Fail: map[string]string{"TestK": "known"}} }
	for what, c := range map[string]struct {
		r    Result
		want string
	}{
		"as listed":   {Result{Outcome: &Outcome{Pass: []string{"TestA"}, Fail: []string{"TestK"}}}, ""},
		"new failure": {Result{Outcome: &Outcome{Fail: []string{"TestK", "TestN"}}}, "TestN fails"},
		"healed":      {Result{Outcome: &Outcome{Pass: []string{"TestK"}}}, "TestK passes now: take it off the list"},
		"gone":        {Result{Outcome: &Outcome{}}, "TestK is listed and was not run"},
		"broken":      {Result{Outcome: &Outcome{}, Broken: "not done in 1m"}, "not done in 1m"},
	} {
		c.r.Entry = entry()
		if got := strings.Join(c.r.Surprises(), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

func TestWriteTable_results_becomeRowsWithReasons(t *testing.T) {
	var b strings.Builder
	err := WriteTable(&b, []*Result{
		{Entry: &Entry{Package: "bytes", Note: "fine"}, Outcome: &Outcome{Pass: []string{"TestA", "TestB"}}, First: []string{"TestA fails"}},
		{Entry: &Entry{Package: "os", Fail: map[string]string{"TestF": "no | files"}, Skip: map[string]string{"TestS": "hangs"}},
			Outcome: &Outcome{Fail: []string{"TestF", "TestG"}, Skip: []string{"TestQ"}}, Broken: "panic: x"},
	}, "go1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"go1.2.3", "2 packages: 2 pass, 2 fail, 1 skipped, 1 left out.",
		"| bytes | 2 | 0 | 0 | 0 | second try; the first: TestA fails<br>fine |\n",
		`| os | 0 | 2 | 1 | 1 | **panic: x**<br>fails: TestF: no \| files<br>fails: TestG: **not on the list**<br>left out: TestS: hangs |`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("bytes ci mem=64 limit=1m -test.v\n\tfail A b\n\tskip C d\n\tnote e\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseList("f", text)
		if err == nil {
			for _, e := range list {
				e.args() // must not panic
			}
		}
	})
}

func FuzzParseOutput(f *testing.F) {
	f.Add(sampleOutput + "PASS\n")
	f.Fuzz(func(t *testing.T, text string) {
		ParseOutput(strings.NewReader(text)) // must not panic
	})
}
