package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnePart(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-only", "speed", "-time", "1ms", "-rounds", "1"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Benchmarks\n", "\n## The cost of pacing\n", "x/time/rate", "150ns"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Batches") {
		t.Errorf("the page has a part that was not asked for:\n%s", out.String())
	}
}

func TestSeveralParts(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-only", "codec,code", "-time", "1ms", "-rounds", "1"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n## Pages of the Management API\n", "decode 50 connections", "\n## How much code it is\n", "go-auth0 v3.0.0"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, out.String())
		}
	}
}

func TestRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.md")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "speed,weight"}, "weight"},
		{[]string{"batch"}, `"batch" is not understood`},
		{[]string{"-time", "0s"}, "positive"},
		{[]string{"-rounds", "0"}, "positive"},
		{[]string{"-only", "speed", "-o", file}, "all parts"},
	} {
		err := run(t.Context(), c.args, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want an error with %q", c.args, err, c.want)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a refused run wrote its file")
	}
}
