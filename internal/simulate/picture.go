package main

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// The picture shows the first seconds of a run of the typical limit, with two
// approaches under each other: the tokens in the server's bucket over time, each
// request that it turned away, and how many it has served.
const (
	pictureTime = 12 * time.Second
	panelWidth  = 720.0
	panelHeight = 180.0
	panelLeft   = 48.0
	panelGap    = 64.0
)

// trail is what one run looked like from the server.
type trail struct {
	title    string
	levels   []float64 // tokens, every sampleTime
	rejected []time.Duration
	accepted int64
}

const sampleTime = 20 * time.Millisecond

func follow(title string, c client) trail {
	t := trail{title: title}
	sc := &scenario{limits: []limit{typical}, net: wan, length: pictureTime}
	r := runWith(sc, c, 1, func(w *world) {
		w.arrived = func(ok bool) {
			if !ok {
				t.rejected = append(t.rejected, w.now)
			}
		}
		var sample func()
		sample = func() {
			t.levels = append(t.levels, float64(w.buckets[0].Level(w.now)))
			w.at(w.now+sampleTime, sample)
		}
		w.at(0, sample)
	})
	t.accepted = r.own
	return t
}

// picture draws both runs as an SVG file.
func picture(file string) error {
	trails := []trail{
		follow("headroom", headroom.make()),
		follow("sleep after 429, 32 workers", &sleepAfter429{}),
	}
	var b bytes.Buffer
	height := float64(len(trails))*(panelHeight+panelGap) + 24
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="13">`+"\n", panelLeft+panelWidth+16, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	for i, t := range trails {
		t.draw(&b, 40+float64(i)*(panelHeight+panelGap))
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func (t *trail) draw(b *bytes.Buffer, top float64) {
	x := func(at time.Duration) float64 { return panelLeft + panelWidth*at.Seconds()/pictureTime.Seconds() }
	y := func(tokens float64) float64 { return top + panelHeight*(1-tokens/float64(typical.burst)) }
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-weight="bold">%s: %d served, %d turned away in %.0f s</text>`+"\n",
		panelLeft, top-14, t.title, t.accepted, len(t.rejected), pictureTime.Seconds())
	for tokens := int64(0); tokens <= typical.burst; tokens += 10 {
		fmt.Fprintf(b, `<line x1="%.0f" y1="%.1f" x2="%.0f" y2="%.1f" stroke="#e3e3e3"/>`+"\n", panelLeft, y(float64(tokens)), panelLeft+panelWidth, y(float64(tokens)))
		fmt.Fprintf(b, `<text x="%.0f" y="%.1f" text-anchor="end" fill="#666">%d</text>`+"\n", panelLeft-6, y(float64(tokens))+4, tokens)
	}
	for s := time.Duration(0); s <= pictureTime; s += 2 * time.Second {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#666">%.0f s</text>`+"\n", x(s), top+panelHeight+18, s.Seconds())
	}
	b.WriteString(`<polyline fill="none" stroke="#1668c7" stroke-width="1.6" points="`)
	for i, tokens := range t.levels {
		// A step: the level holds until the next sample differs.
		if i > 0 && tokens == t.levels[i-1] && i+1 < len(t.levels) && tokens == t.levels[i+1] {
			continue
		}
		fmt.Fprintf(b, "%.1f,%.1f ", x(time.Duration(i)*sampleTime), y(tokens))
	}
	b.WriteString(`"/>` + "\n")
	for _, at := range t.rejected {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#c8102e" stroke-width="0.7"/>`+"\n", x(at), top+panelHeight, x(at), top+panelHeight-12)
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.1f" fill="#666">tokens in the server's bucket (50, refilled at 16 a second)</text>`+"\n", panelLeft+96, top+14)
	if len(t.rejected) > 0 {
		fmt.Fprintf(b, `<text x="%.0f" y="%.1f" fill="#c8102e" text-anchor="end">each red line: a request turned away</text>`+"\n", panelLeft+panelWidth-8, top+14)
	}
}
