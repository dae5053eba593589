package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// page is a page of a headless browser, steered by the DevTools protocol over two
// pipes: JSON messages, each ended by a zero byte.
type page struct {
	ctx       context.Context //nolint:containedctx // a page lives as long as the one run that opened it
	name      string          // product and version
	requested []string        // URLs, in order

	cmd     *exec.Cmd
	to      *os.File
	in      *os.File
	from    *bufio.Reader // of in
	session string
	last    int
}

// openPage starts a browser with an empty profile and opens a page.
func openPage(ctx context.Context, binary, profile string) (*page, error) {
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), ourOut.Close())
	}
	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + profile,
		// No sandbox in containers and as root, and nothing that asks other hosts.
		"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "about:blank",
	}
	p := &page{ctx: ctx, cmd: exec.CommandContext(ctx, binary, args...), to: ourOut, in: ourIn, from: bufio.NewReader(ourIn)}
	p.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the browser expects them
	p.cmd.WaitDelay = 10 * time.Second
	err = p.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the browser: %w", err), ourOut.Close(), ourIn.Close())
	}
	if err := p.attach(); err != nil {
		p.close()
		return nil, fmt.Errorf("opening a page: %w", err)
	}
	return p, nil
}

func (p *page) attach() error {
	var version struct {
		Product string `json:"product"`
	}
	var target struct {
		ID string `json:"targetId"`
	}
	var attached struct {
		ID string `json:"sessionId"`
	}
	if err := p.call("Browser.getVersion", nil, &version); err != nil {
		return err
	}
	if err := p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return err
	}
	if err := p.call("Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached); err != nil {
		return err
	}
	p.name, p.session = version.Product, attached.ID
	return errors.Join(p.call("Network.enable", nil, nil), p.call("Page.enable", nil, nil))
}

// close ends the browser.
func (p *page) close() {
	p.session = ""
	_ = p.call("Browser.close", nil, nil)
	_ = p.to.Close()
	_, _ = io.Copy(io.Discard, p.from) // until it has gone
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// call sends a command and waits for its answer, noting what is reported
// meanwhile.
func (p *page) call(method string, params, into any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	p.last++
	m := message{ID: p.last, Session: p.session, Method: method}
	if params != nil {
		m.Params = raw
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := p.to.Write(append(data, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		data, err := p.from.ReadBytes(0)
		if err != nil {
			return fmt.Errorf("%s: the browser has gone: %w", method, errors.Join(err, p.ctx.Err()))
		}
		var m message
		if err := json.Unmarshal(data[:len(data)-1], &m); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case m.ID != p.last:
			p.note(m)
			continue
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case into == nil:
			return nil
		}
		return json.Unmarshal(m.Result, into)
	}
}

// note keeps the URLs that the browser asks for, those of redirects included.
func (p *page) note(m message) {
	if m.Method != "Network.requestWillBeSent" {
		return
	}
	var event struct {
		Request struct {
			URL string `json:"url"`
		} `json:"request"`
	}
	if json.Unmarshal(m.Params, &event) == nil {
		p.requested = append(p.requested, event.Request.URL)
	}
}

// navigate goes to a URL, as if it were typed.
func (p *page) navigate(to string) error {
	var result struct {
		Error string `json:"errorText"`
	}
	err := p.call("Page.navigate", map[string]any{"url": to}, &result)
	if err == nil && result.Error != "" {
		err = fmt.Errorf("going to %s: %s", to, result.Error)
	}
	return err
}

// evaluate gives the value of an expression of JavaScript.
func (p *page) evaluate(expression string, into any) error {
	var result struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	err := p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &result)
	switch {
	case err != nil:
		return err
	case result.Exception != nil:
		return fmt.Errorf("%s: %s", expression, result.Exception.Text)
	}
	return json.Unmarshal(result.Result.Value, into)
}

// waitFor returns when an expression is true. A page that is just being left
// evaluates nothing; the next one will.
func (p *page) waitFor(expression string) error {
	end := time.Now().Add(20 * time.Second)
	for {
		var yes bool
		err := p.evaluate(expression, &yes)
		switch {
		case err == nil && yes:
			return nil
		case p.ctx.Err() != nil:
			return p.ctx.Err()
		case time.Now().After(end):
			var text string
			_ = p.evaluate("location.href + '\\n' + document.body.innerText", &text)
			return errors.Join(fmt.Errorf("this never became true: %s\nThe page is %s", expression, text), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// click presses the left button in the middle of an element.
func (p *page) click(selector string) error {
	var at struct{ X, Y float64 }
	if err := p.evaluate(fmt.Sprintf(`(() => {
		const e = document.querySelector(%s); e.scrollIntoView();
		const r = e.getBoundingClientRect();
		return {X: r.x + r.width / 2, Y: r.y + r.height / 2};
	})()`, quote(selector)), &at); err != nil {
		return err
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		if err := p.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil); err != nil {
			return err
		}
	}
	return nil
}

// replaceText types into the field that a click has given the focus.
func (p *page) replaceText(selector, text string) error {
	var ok bool
	if err := p.evaluate(fmt.Sprintf("(() => { const e = document.querySelector(%s); e.select(); return document.activeElement === e })()", quote(selector)), &ok); err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s has not got the focus", selector)
	}
	return p.call("Input.insertText", map[string]any{"text": text}, nil)
}

type cookie struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	HTTPOnly bool   `json:"httpOnly"`
	SameSite string `json:"sameSite"`
}

// cookies returns those that the browser would send to a URL.
func (p *page) cookies(of string) ([]cookie, error) {
	var result struct {
		Cookies []cookie `json:"cookies"`
	}
	err := p.call("Network.getCookies", map[string]any{"urls": []string{of}}, &result)
	return result.Cookies, err
}
