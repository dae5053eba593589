package speed

import (
	"context"
	"sync"
	"testing"

	"golang.org/x/time/rate"
)

// queued is the case in which nearly everyone waits. Both limiters let 100,000 a
// second pass, so that the time of an operation is always 10 us; what is
// compared is the processor's time.
const (
	queued      = "wait and hand-off, 1,000 goroutines at 100,000/s (processor time)"
	queuedRate  = 100_000
	queuedBurst = 1_000
)

func handOff(b *testing.B) {
	l, ctx := limiter(b, queuedBurst, queuedRate), context.Background()
	done := unheaded()
	crowd(b, func() error {
		r := oneBucket()
		t, err := l.Acquire(ctx, &r)
		if err == nil {
			t.Done(done)
		}
		return err
	})
}

func wait(b *testing.B) {
	l, ctx := rate.NewLimiter(queuedRate, queuedBurst), context.Background()
	crowd(b, func() error { return l.Wait(ctx) })
}

// crowd lets all goroutines work at once and reports the processor's time.
func crowd(b *testing.B, op func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime()
	var wg sync.WaitGroup
	for i := range goroutines {
		n := b.N / goroutines
		if i < b.N%goroutines {
			n++
		}
		wg.Go(func() {
			for range n {
				if err := op(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), processorUnit)
}

// Processor measures what the processors work for an operation, the garbage
// collector included, and not how long it takes: a busy machine changes that
// far less. The operation has been done once when measuring begins.
func Processor(b *testing.B, op func() error) {
	b.ReportAllocs()
	if err := op(); err != nil {
		b.Fatal(err)
	}
	before := processorTime()
	for b.Loop() {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), processorUnit)
}

// processorUnit is the unit of the metric that crowd and Processor report.
const processorUnit = "cpu-ns/op"
