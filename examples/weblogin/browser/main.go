// Command browser tries the site of package weblogin in a real browser, headless,
// against the simulated tenant. It fails where there is no browser:
//
//	go run ./examples/weblogin/browser
//	go run ./examples/weblogin/browser -browser /usr/bin/google-chrome
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	program  = "github.com/headroom-go/auth0/examples/weblogin"
	patience = 2 * time.Minute // for everything, building included
)

func main() {
	browser := flag.String("browser", "chromium", "Chromium or Chrome, by `name` or path")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, patience)
	err := run(ctx, *browser)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, browser string) (err error) {
	work, err := os.MkdirTemp("", "weblogin")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	binary, err := exec.LookPath(browser)
	if err != nil {
		return fmt.Errorf("no browser to try it in: %w", err)
	}
	s, err := startSite(ctx, filepath.Join(work, "weblogin"))
	if err != nil {
		return err
	}
	defer s.stop()
	p, err := openPage(ctx, binary, filepath.Join(work, "profile"))
	if err != nil {
		return err
	}
	defer p.close()
	return visit(p, s)
}

// site is the program under test, running.
type site struct {
	base, user, password string
	stop                 func()
}

var announced = regexp.MustCompile(`knows (\S+) with the password (\S+)\nServing (\S+)/ on \S+\n`)

// startSite builds the program and starts it with a simulated tenant.
func startSite(ctx context.Context, binary string) (*site, error) {
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, program).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	cmd := exec.CommandContext(ctx, binary, "-local", "-addr", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if m := announced.FindStringSubmatch(said.String()); m != nil {
			return &site{user: m[1], password: m[2], base: m[3], stop: stop}, nil
		}
	}
	stop()
	return nil, fmt.Errorf("the site did not start; it said %q", &said)
}

// visit is what a person does with the site, and what has to come of it.
func visit(p *page, s *site) error {
	v := &visitor{page: p, site: s}
	v.step("the home page offers a login", func() {
		v.check(p.navigate(s.base + "/"))
		v.see("h1", "Welcome")
		v.see("a[href='/login']", "Log in")
	})
	v.step("the login leads to the tenant, with state, nonce and PKCE", func() {
		v.click("a[href='/login']")
		v.see("h1", "Log in")
		q := v.asked("/authorize")
		for _, name := range []string{"state", "nonce", "code_challenge", "client_id"} {
			if q.Get(name) == "" {
				v.failf("the authorize URL has no %s", name)
			}
		}
		if q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != s.base+"/callback" || q.Get("response_type") != "code" {
			v.failf("the authorize URL asks for %v", q)
		}
	})
	v.step("a wrong password stays there", func() {
		v.fillIn(s.user, "not-"+s.password)
		v.see("[role=alert]", "")
	})
	v.step("the right one leads to the profile", func() {
		v.fillIn(s.user, s.password)
		v.see("h1", "Your profile")
		v.see("#email", s.user)
		if at := v.evaluate("location.href"); at != s.base+"/profile" {
			v.failf("the browser is at %s", at)
		}
	})
	v.step("the browser came back with the state that it was sent with, and a code", func() {
		q := v.asked("/callback")
		if q.Get("code") == "" || q.Get("state") != v.asked("/authorize").Get("state") {
			v.failf("the callback has other parameters: %d of them", len(q))
		}
	})
	v.step("scripts cannot read the cookie", func() {
		if c := v.evaluate("document.cookie"); c != "" {
			v.failf("document.cookie shows %d characters", len(c))
		}
		if c := v.cookie("session"); c.Value == "" || !c.HTTPOnly || c.SameSite != "Lax" {
			v.failf("there is no session cookie that is HttpOnly and SameSite=Lax")
		}
	})
	v.step("a reload is still logged in", func() {
		v.check(p.navigate(s.base + "/"))
		v.see("p", "You are logged in: your profile.")
	})
	v.step("a callback is good for once", func() {
		v.check(p.navigate(s.base + "/callback?" + v.asked("/callback").Encode()))
		v.see("h1", "That login is over")
	})
	v.step("that has ended no session", func() {
		v.check(p.navigate(s.base + "/profile"))
		v.see("#email", s.user)
	})
	v.step("the tenant knows the browser and asks for no password again", func() {
		before := v.cookie("session").Value
		v.check(p.navigate(s.base + "/login"))
		v.see("h1", "Your profile")
		if after := v.cookie("session").Value; v.err == nil && (after == "" || after == before) {
			v.failf("the session is the one of before")
		}
	})
	v.step("the logout ends both sessions", func() {
		v.click("form[action='/logout'] button")
		v.see("h1", "Welcome")
		v.see("a[href='/login']", "Log in")
		v.check(p.navigate(s.base + "/profile"))
		v.see("h1", "Welcome")
		v.click("a[href='/login']")
		v.see("label[for=password]", "Password")
	})
	if v.err == nil {
		fmt.Println("all passed in", p.name)
	}
	return v.err
}

// visitor takes one step after the other until one fails.
type visitor struct {
	page *page
	site *site
	at   string
	err  error
}

func (v *visitor) step(name string, do func()) {
	if v.err != nil {
		return
	}
	v.at = name
	do()
	if v.err == nil {
		fmt.Println("passed:", name)
	}
}

func (v *visitor) check(err error) {
	if err != nil && v.err == nil {
		v.err = fmt.Errorf("%s: %w", v.at, err)
	}
}

func (v *visitor) failf(format string, args ...any) { v.check(fmt.Errorf(format, args...)) }

// see waits until the page has an element with a text, "" for any.
func (v *visitor) see(selector, text string) {
	if v.err == nil {
		v.check(v.page.waitFor(fmt.Sprintf(`(() => {
			const e = document.querySelector(%s);
			return document.readyState === "complete" && e !== null && (%[2]s === "" || e.innerText.trim() === %[2]s);
		})()`, quote(selector), quote(text))))
	}
}

// click moves the mouse to an element and clicks.
func (v *visitor) click(selector string) {
	v.see(selector, "")
	if v.err == nil {
		v.check(v.page.click(selector))
	}
}

// fillIn types into the tenant's login page and sends it.
func (v *visitor) fillIn(user, password string) {
	for _, field := range [][2]string{{"#username", user}, {"#password", password}} {
		v.click(field[0])
		if v.err == nil {
			v.check(v.page.replaceText(field[0], field[1]))
		}
	}
	// The page that answers may look the same: mark this one.
	v.evaluate("document.body.id = 'sent'")
	v.click("button[type=submit]")
	if v.err == nil {
		v.check(v.page.waitFor("document.body !== null && document.body.id !== 'sent' && document.readyState === 'complete'"))
	}
}

// evaluate returns what an expression gives as text.
func (v *visitor) evaluate(expression string) string {
	if v.err != nil {
		return ""
	}
	var text string
	v.check(v.page.evaluate(expression, &text))
	return text
}

// asked returns the query of the last URL with a path that the browser asked for.
func (v *visitor) asked(path string) url.Values {
	for _, asked := range slices.Backward(v.page.requested) {
		if u, err := url.Parse(asked); err == nil && u.Path == path && u.RawQuery != "" {
			return u.Query()
		}
	}
	v.failf("the browser never asked for %s", path)
	return nil
}

// cookie returns a cookie that the browser would send to the site.
func (v *visitor) cookie(name string) cookie {
	if v.err != nil {
		return cookie{}
	}
	all, err := v.page.cookies(v.site.base)
	v.check(err)
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	return cookie{}
}

// quote writes a string as JavaScript does.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}
