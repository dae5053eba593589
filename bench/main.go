// Command bench measures what the documents state, beside peers and on one
// machine in one run, and prints it as tables in Markdown:
//
//	go -C bench run .                              everything, some minutes
//	go -C bench run . -only speed                  one part
//	go -C bench run . -o ../docs/benchmarks.md     into the file of the repository
//
// The machine should have nothing else to do meanwhile.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/headroom-go/auth0/bench/batch"
	"github.com/headroom-go/auth0/bench/build"
	"github.com/headroom-go/auth0/bench/code"
	"github.com/headroom-go/auth0/bench/codec"
	"github.com/headroom-go/auth0/bench/size"
	"github.com/headroom-go/auth0/bench/speed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A part is one table.
type part struct {
	name, title, about string
	write              func(ctx context.Context, w io.Writer) error
}

type settings struct {
	time   time.Duration
	rounds int
}

func (s *settings) parts() []part {
	return []part{
		{"speed", "The cost of pacing", aboutSpeed, func(_ context.Context, w io.Writer) error {
			results, err := speed.Measure(speed.Cases(), s.time, s.rounds)
			if err != nil {
				return err
			}
			return speed.Print(w, results)
		}},
		{"batch", "Batches against a tenant that enforces its limits", aboutBatch, func(ctx context.Context, w io.Writer) error {
			results, err := batch.Run(ctx, append(batch.Ours(), batch.Peers()...))
			if err != nil {
				return err
			}
			return batch.Print(w, results)
		}},
		{"codec", "Pages of the Management API", aboutCodec, func(_ context.Context, w io.Writer) error {
			results, err := speed.Measure(codec.Cases(), s.time/4, s.rounds)
			if err != nil {
				return err
			}
			return speed.Print(w, results)
		}},
		{"size", "What a program takes on", aboutSize, func(ctx context.Context, w io.Writer) error {
			results, err := size.Measure(ctx, size.Floor, size.Retry, size.Call, size.Typed, size.V1, size.V3)
			if err != nil {
				return err
			}
			if err := size.Print(w, results); err != nil {
				return err
			}
			results, err = size.Measure(ctx, size.FloorAll, size.TypedAll, size.V1All, size.V3All)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(w, "\n%s\n\n", aboutAll)
			return size.Print(w, results)
		}},
		{"build", "What it takes to build", aboutBuild, func(ctx context.Context, w io.Writer) error {
			results, err := build.Measure(ctx, builds, size.Floor, size.Call, size.Typed, size.V1, size.V3)
			if err != nil {
				return err
			}
			return build.Print(w, results)
		}},
		{"code", "How much code it is", aboutCode, func(ctx context.Context, w io.Writer) error {
			results, err := code.Measure(ctx, size.Call, size.Typed, size.V1, size.V3)
			if err != nil {
				return err
			}
			return code.Print(w, results)
		}},
	}
}

// builds is how many times each program is built cold, and again after an edit.
const builds = 2

const aboutSpeed = `One operation on one processor unless said otherwise, the best of several rounds. An acquisition of ours routes the request, charges all of
its buckets or none, and reads the headers of the answer; golang.org/x/time/rate reserves a token of each limiter in turn and learns nothing.
Allocations and bytes are of one operation. Tests hold the allocations to their budgets; times depend on the machine and are only shown.`

const aboutBatch = `Each batch in real time against ` + "`headroom tenant`" + ` in a process of its own: plan enterprise, 40 ms of latency and up to 20 ms of jitter. What
was created, rejected and used is the tenant's own account. The SDKs run with their defaults; over auth0.Transport nothing is changed but
the transport of their http.Client.`

const aboutCodec = `Pages of 50 entries, the same text for all. Time is that of the processors, the garbage collector's share included, the best of several rounds.
Decoding and encoding are json.Unmarshal and json.Marshal of the public types of each SDK. The last rows are whole calls of each SDK's list of users, over a transport that answers from
memory. Users have two identities and metadata; the connections are databases, google-oauth2, samlp and oidc in turn. Tests hold the
allocations to a share of the peers'.`

const aboutSize = `Programs that make one call, stripped (-trimpath -ldflags='-s -w'), and the heap allocations that the runtime counts when main begins.
Tests hold them, and the list of packages that they link, to budgets.`

const aboutAll = `The linker leaves out what a program cannot reach. The same programs, with a method called by a name that only the run knows: every method
of every type that is left stays, which for an SDK is all of its operations.`

const aboutBuild = `go build of the same programs with a build cache that has the standard library and all dependencies, and nothing of the SDK or the program:
cold. Then again with a declaration added to the program's only file. The cache is made for the purpose, by building the dependencies, and
each build has a copy. Time is that of the processors, user and system, of the go command and all that it started; memory is what was
resident of the largest of these processes. The best of two builds each.`

const aboutCode = `The packages of each SDK that such a program links, tests left out. Exported names are constants, variables, types, functions and methods of
packages that a program can import.`

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	var only, file string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&only, "only", "", "comma-separated parts to measure: speed, batch, codec, size, build, code; all when empty")
	fs.StringVar(&file, "o", "", "file to write, with all parts measured; standard output when empty")
	fs.DurationVar(&s.time, "time", time.Second, "time for each round of a benchmark")
	fs.IntVar(&s.rounds, "rounds", 4, "rounds of each benchmark")
	if err := fs.Parse(args); err != nil {
		return err
	}
	parts, err := choose(s.parts(), only)
	switch {
	case err != nil:
		return err
	case fs.NArg() > 0:
		return fmt.Errorf("%q is not understood", fs.Arg(0))
	case s.time <= 0 || s.rounds < 1:
		return errors.New("-time and -rounds have to be positive")
	case file != "" && only != "":
		return errors.New("-o writes a file of all parts: leave out -only")
	}
	var page bytes.Buffer
	head(&page)
	for _, p := range parts {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n", p.title, p.about)
		if err := p.write(ctx, &page); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if file != "" {
		return os.WriteFile(file, page.Bytes(), 0o644)
	}
	_, err = page.WriteTo(out)
	return err
}

func choose(parts []part, only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there are speed, batch, codec, size, build and code", name)
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

func head(w *bytes.Buffer) {
	fmt.Fprintf(w, `# Benchmarks

Written by `+"`go -C bench run . %s`"+`, which measures all of it in one run (`+"`make figures`"+` does so with the defaults). On %s/%s, %d processors, %s.
`, strings.Join(os.Args[1:], " "), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		var peers []string
		for _, d := range info.Deps {
			if strings.HasPrefix(d.Path, "github.com/auth0/") || d.Path == "golang.org/x/time" {
				peers = append(peers, d.Path+" "+d.Version)
			}
		}
		fmt.Fprintf(w, "Beside %s.\n", strings.Join(peers, ", "))
	}
}
