# Everything that .ci/run does, in parts. Go alone is enough to build and test:
# see the two commands in README.md.

.PHONY: all test race lint fmt generate fuzz bench figures docs ci

all: fmt generate lint test

test:
	go test ./... && go -C bench test ./...

race:
	go test -race ./...

lint:
	.ci/run lint

fmt:
	gofmt -l -w $$(git ls-files -co --exclude-standard '*.go')

generate:
	go generate ./...

fuzz:
	.ci/run fuzz

# Benchmarks as go test prints them, for benchstat.
bench:
	go -C bench test -run '^$$' -bench . -count 6 ./speed

# Every figure that the documents give, measured: writes docs/benchmarks.md. Needs a machine that is otherwise idle.
figures:
	go -C bench run . -o ../docs/benchmarks.md

ci:
	.ci/run
