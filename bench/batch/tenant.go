package batch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/headroom-go/auth0/auth0test"
)

// build makes the command headroom in dir and returns its path. The command is
// built in its own module, with the versions that users get.
func build(ctx context.Context, dir string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/headroom-go/auth0")
	root, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("finding the module of the command: %w", explain(err))
	}
	path := filepath.Join(dir, "headroom")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/headroom")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return path, nil
}

// explain adds what a command printed to its error.
func explain(err error) error {
	if e, ok := err.(*exec.ExitError); ok && len(e.Stderr) > 0 { //nolint:errorlint // os/exec returns it as it is
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(e.Stderr)))
	}
	return err
}

// A server is a simulated tenant in a process of its own.
type server struct {
	env map[string]string // as it prints it for programs that are to use it
	cmd *exec.Cmd
	out io.Reader
}

// start runs a tenant on a free port.
func start(ctx context.Context, headroom string, args ...string) (*server, error) {
	s := &server{env: map[string]string{}}
	s.cmd = exec.CommandContext(ctx, headroom, append([]string{"tenant", "--addr", "127.0.0.1:0"}, args...)...)
	s.cmd.Stderr = os.Stderr
	s.cmd.WaitDelay = 10 * time.Second
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "="); ok {
			s.env[name] = strings.Trim(value, "'")
			if name == "AUTH0_TOKEN" { // the last line
				s.out = out
				return s, nil
			}
		}
	}
	return nil, fmt.Errorf("the tenant did not start: %w", s.stop())
}

// stop ends the tenant as Ctrl-C does.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if s.out != nil {
		if _, err := io.Copy(io.Discard, s.out); err != nil {
			return err
		}
	}
	return s.cmd.Wait()
}

// report asks the tenant what it has seen.
func (s *server) report(ctx context.Context) (r auth0test.Report, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.env["AUTH0_DOMAIN"]+auth0test.ReportPath, nil)
	if err != nil {
		return r, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return r, fmt.Errorf("the tenant's report: %s", resp.Status)
	}
	return r, json.NewDecoder(resp.Body).Decode(&r)
}

// environ is the environment of a program that is to use the tenant.
func (s *server) environ() []string {
	env := os.Environ()
	for name, value := range s.env {
		env = append(env, name+"="+value)
	}
	return env
}
