# The front door. Each target is a script in scripts/; this file only says which, and what it needs first.
# Everything that is made lands in build/ (and in tests/browser and clients/typescript, node_modules and dist).
.DEFAULT_GOAL := help
.PHONY: help run test build deps check conformance compat bench install api screenshots format clean

PREFIX  ?= /usr
DESTDIR ?=

help:  ## say what there is to make
	@echo 'make TARGET, on Debian 12:'
	@sed -n 's/^\([a-z][a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

run:  ## install what is missing, build, and run two complete nodes with the demo page (Ctrl-C stops them)
	@scripts/deps.sh build
	@scripts/build.sh run
	@exec scripts/run.sh

test:  ## install what is missing, build, and run every test; the last line counts them
	@scripts/test.sh

build:  ## build/ngx_http_weft_module.so, build/weftd and build/weftctl
	@scripts/deps.sh --check build
	@scripts/build.sh product

deps:  ## install with apt what building and testing need and what is missing (make check and bench add theirs)
	@scripts/deps.sh build test

check:  ## the slow looks: sanitizers, clang-tidy, formatting, a short run of every fuzzer
	@scripts/deps.sh build test check
	@scripts/check.sh

conformance:  ## Autobahn|Testsuite against the module (Python 2.7; CASES='1.* 9.*' for a part); report in build/conformance
	@scripts/deps.sh build test
	@scripts/build.sh product
	@CASES='$(CASES)' scripts/conformance.sh

compat:  ## build for another nginx, whose configured sources are in WEFT_NGINX_SOURCE, and run t/ (or TESTS) against it
	@scripts/nginx-compat.sh $(TESTS)

bench:  ## measure beside other servers, in eight minutes; ARGS='--full --docs' and others: bench/run.sh --help
	@scripts/deps.sh build bench
	@scripts/build.sh bench
	@bench/run.sh $(ARGS)

install:  ## install module, weftd, weftctl, unit and sample configurations (PREFIX=/usr DESTDIR=)
	@scripts/deps.sh --check build
	@scripts/build.sh product
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh

api:  ## write the reference of the TypeScript client, from its source, to build/api/typescript
	@scripts/npm-ci.sh clients/typescript
	@cd clients/typescript && npm run --silent api

screenshots:  ## take anew the pictures of the demo that docs/ has, in Chromium
	@scripts/deps.sh build test
	@scripts/build.sh run
	@scripts/npm-ci.sh
	@WEFT_SCREENSHOTS=docs node --test --test-concurrency=1 tests/browser/survival.test.mjs tests/browser/boards.test.mjs

format:  ## clang-format our C++ in place
	@scripts/format.sh

clean:  ## remove what was built
	@rm -rf build tests/browser/node_modules clients/typescript/node_modules clients/typescript/dist
