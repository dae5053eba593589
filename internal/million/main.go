// Command million imports generated users and prints what that took of this
// process: the most memory that was resident at any time, and processor seconds.
//
//	go run ./internal/million
//
// With -command it prints the same of the headroom command, which imports the users
// from a file, with its ledger and its progress:
//
//	go build -o headroom ./cmd/headroom && go run ./internal/million -command ./headroom
//
// The users, a million unless -users says otherwise, are made one by one as the
// importer asks for them, and are checked for duplicates like any others. The
// garbage collector runs at GOGC=50 unless the environment says otherwise. They go
// into import jobs of a tenant in another process, which keeps a bit for each
// user, so that nothing of the tenant's is in the figures; it has no rate limits,
// since a wait costs neither memory nor processor time.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/importer"
)

// plan has more room than anybody asks for here.
const plan = "private-cloud-10000"

func main() {
	users := flag.Int("users", 1_000_000, "how many users to import")
	ledger := flag.String("ledger", "", "keep a ledger in this file")
	command := flag.String("command", "", "measure this headroom command in place of the package importer")
	peer := flag.Bool("peer", false, "be the tenant, until standard input ends")
	flag.Parse()
	var err error
	switch {
	case *peer:
		err = servePeer(os.Stdin, os.Stdout)
	case *command != "":
		err = measureCommand(*command, *users, os.Stdout)
	default:
		err = measure(*users, *ledger, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

// generated yields users of some 300 bytes, with a hash of a password that nobody has.
func generated(n int) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		var b []byte
		for i := range n {
			b = appendUser(b[:0], i)
			if !yield(json.RawMessage(b), nil) {
				return
			}
		}
	}
}

func appendUser(b []byte, i int) []byte {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	number := fmt.Sprintf("%07d", i)
	b = append(b, `{"email":"generated.user.`...)
	b = append(b, number...)
	b = append(b, `@example.com","email_verified":true,"user_id":"u`...)
	b = append(b, number...)
	b = append(b, `","given_name":"Generated","family_name":"User`...)
	b = append(b, number...)
	b = append(b, `","password_hash":"$2b$10$`...)
	for k := range 53 {
		b = append(b, alphabet[(i>>(k%20)+7*k)&63])
	}
	b = append(b, `","user_metadata":{"locale":"en"},"app_metadata":{"plan":"basic","old_id":`...)
	b = strconv.AppendInt(b, int64(i), 10)
	return append(b, `}}`...)
}

func dumpUsers(path string, n int) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	var b []byte
	for i := range n {
		b = append(appendUser(b[:0], i), '\n')
		if _, err := w.Write(b); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return errors.Join(w.Flush(), file.Close())
}

// measure imports n users and prints the figures.
func measure(n int, ledger string, out io.Writer) error {
	ctx := context.Background()
	tenant, err := startPeer(ctx)
	if err != nil {
		return err
	}
	defer func() { _, _ = tenant.stop() }() // what it says counts below
	client, err := auth0.New(tenant.url, auth0.WithToken("made-up"), auth0.WithPlan(plan))
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(50)) // as the command does
	}
	began := time.Now()
	report, err := importer.Run(ctx, client, importer.Users(generated(n), importer.Named("generated")), importer.Options{Via: importer.ViaJobs, Ledger: ledger})
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	took, err := usage()
	if err != nil {
		return err
	}
	client.CloseIdleConnections()
	return tenant.sum(out, outcome{n, report.JobsCount, report.Created}, took, elapsed)
}

// outcome is what an import reports.
type outcome struct {
	users   int
	Jobs    int `json:"jobs"`
	Created int `json:"created"`
}

// measureCommand has the headroom command import n users from a file.
func measureCommand(command string, n int, out io.Writer) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "million-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "users.ndjson")
	if err := dumpUsers(file, n); err != nil {
		return err
	}
	tenant, err := startPeer(ctx)
	if err != nil {
		return err
	}
	defer func() { _, _ = tenant.stop() }() // what it says counts below
	cmd := exec.CommandContext(ctx, command, "import", "--via", "jobs", "--json", file)
	cmd.Env = append(os.Environ(), "AUTH0_DOMAIN="+tenant.url, "AUTH0_TOKEN=made-up", "AUTH0_PLAN="+plan)
	cmd.Stderr = os.Stderr
	began := time.Now()
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	elapsed := time.Since(began)
	took, err := usageOf(cmd.ProcessState)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	said := outcome{users: n}
	if err := json.Unmarshal(lines[len(lines)-1], &said); err != nil {
		return err
	}
	return tenant.sum(out, said, took, elapsed)
}

// sum ends the tenant and prints the figures.
func (p *peer) sum(out io.Writer, said outcome, took used, elapsed time.Duration) error {
	there, err := p.stop()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, `users                 %d
import jobs           %d
created               %d
users in the tenant   %d, %d of them sent twice
most resident memory  %.1f MiB
processor time        %.1f s
elapsed               %.1f s
machine               %s, %d processors, %s/%s
`, said.users, said.Jobs, said.Created, there.Users, there.Twice, float64(took.resident)/(1<<20), took.cpu.Seconds(), elapsed.Seconds(),
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	if said.Created != said.users || there.Users != said.users || there.Twice != 0 || there.Strange != 0 {
		return fmt.Errorf("not every user is in the tenant once: %d created, %+v", said.Created, there)
	}
	return nil
}

// used is what a process has used.
type used struct {
	resident int64 // bytes, at the most
	cpu      time.Duration
}

// peer is the tenant in another process.
type peer struct {
	url   string
	cmd   *exec.Cmd
	in    io.Closer
	out   *bufio.Reader
	over  bool
	count counts
}

// counts is what the tenant has seen.
type counts struct {
	Users   int // different ones
	Twice   int // that were there already
	Strange int // that are none of ours
}

func startPeer(ctx context.Context) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-peer")
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "HEADROOM_RUN_MAIN=1") // for tests, whose binary this is then
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := p.out.ReadString('\n')
	if err != nil {
		_, stopped := p.stop()
		return nil, errors.Join(fmt.Errorf("the tenant did not start: %w", err), stopped)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// stop ends the tenant and returns what it has seen.
func (p *peer) stop() (counts, error) {
	if p.over {
		return p.count, nil
	}
	p.over = true
	err := p.in.Close()
	if e := json.NewDecoder(p.out).Decode(&p.count); err == nil {
		err = e
	}
	if e := p.cmd.Wait(); err == nil {
		err = e
	}
	return p.count, err
}
