# MNEDC: build, try, check and install. `make` lists what there is.

PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
# `make install STRIP=:` keeps the symbols, twice the size.
STRIP ?= strip
PYTHON ?= $(shell python3 -c 'import pytest' 2>/dev/null && echo python3 || echo /usr/bin/python3)

# The relocations are a twentieth as long in the form that glibc knows since 2.36.
RELR := $(shell getconf GNU_LIBC_VERSION 2>/dev/null | \
  awk '$$1 == "glibc" { split($$2, v, "."); if (v[1] > 2 || v[2] >= 36) print "-Xlinker -z -Xlinker pack-relative-relocs" }')

# What is installed stands alone: the Swift runtime is inside the programs. Nobody links with them, so they list no symbols, which
# the linker may then leave out; without lld, which comes with Swift, they are 1 MB larger.
RELEASE := --configuration release --static-swift-stdlib --explicit-target-dependency-import-check error \
  -Xswiftc -use-ld=lld -Xlinker --no-export-dynamic $(RELR)
DEBUG := --configuration debug --explicit-target-dependency-import-check error

DAEMONS := mnedcd mnedc-join
TOOLS := mnedc-peers mnedc-ctl
PROGRAMS := $(DAEMONS) $(TOOLS)
SCRIPTS := .ci/run examples/nat-lab.sh examples/demo.sh examples/place-task.sh examples/on-peer.sh examples/steps.sh \
  examples/shop/run.sh examples/mqtt-camera/run.sh examples/mqtt-camera/sensor.sh Tests/requirements.sh Tests/no-foundation.sh Tests/Fuzz/run.sh

bin = $(DESTDIR)$(PREFIX)/bin
sbin = $(DESTDIR)$(PREFIX)/sbin
man = $(DESTDIR)$(PREFIX)/share/man
doc = $(DESTDIR)$(PREFIX)/share/doc/mnedc
bash = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zsh = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fish = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

.DEFAULT_GOAL := help
.PHONY: help build demo check lint unit allocations integration bench fuzz format completions install uninstall clean

help: ## this list
	@echo "usage: make GOAL [PREFIX=$(PREFIX)] [DESTDIR=]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## the programs, optimised, with the Swift runtime inside: .build/release
	@Tests/requirements.sh build
	$(SWIFT) build $(RELEASE)

demo: ## two levels of NAT on this machine, and devices that reach each other through them (root)
	@Tests/requirements.sh demo
	@examples/demo.sh

check: ## everything that must hold before a commit: format, build, unit and integration tests (root)
	@Tests/requirements.sh check
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory allocations
	@$(MAKE) --no-print-directory integration

lint: ## format, scripts and man pages
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests
	shellcheck --external-sources $(SCRIPTS)
	@set -e; for page in $(wildcard man/*.[1-8]); do echo "mandoc -T lint -W warning $$page"; \
	  mandoc -T lint -W warning "$$page"; done

unit: ## the unit tests
	$(SWIFT) build $(DEBUG) --build-tests
	$(SWIFT) test $(DEBUG) --skip-build --parallel

# Optimised, or the compiler's own allocations would count; apart, or the programs would be built anew afterwards.
allocations: ## that the data path allocates nothing per packet
	$(SWIFT) test --configuration release -Xswiftc -enable-testing --scratch-path .build/allocations \
	  --filter AllocationTests

# With the debug programs, which the unit tests have built already: they also check who owns what.
integration: ## the real programs in network namespaces (root)
	$(SWIFT) build $(DEBUG)
	Tests/no-foundation.sh .build/debug
	BUILD=.build/debug $(PYTHON) -m pytest -q --tb=short -p no:cacheprovider Tests/Integration

bench: ## measure beside OpenVPN, SoftEther and others, and two limits; then 10,000 devices (root, half an hour)
	@Tests/requirements.sh bench
	@$(PYTHON) Tests/Bench/bench.py
	@$(PYTHON) Tests/Bench/scale.py

fuzz: ## fuzz the parsers for FUZZ_SECONDS (60)
	@Tests/requirements.sh build
	@Tests/Fuzz/run.sh $(or $(FUZZ_SECONDS),60)

format: ## format the Swift sources in place
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests

completions: build ## write completions/ again from the programs' own options
	@mkdir -p completions/bash completions/zsh completions/fish
	@set -e; for program in $(PROGRAMS); do \
	  .build/release/$$program --generate-completion-script bash >completions/bash/$$program; \
	  .build/release/$$program --generate-completion-script zsh >completions/zsh/_$$program; \
	  .build/release/$$program --generate-completion-script fish >completions/fish/$$program.fish; \
	done

install: ## programs, man pages, completions and examples, below PREFIX; builds first if nothing is built
	@test -x .build/release/mnedcd || $(MAKE) --no-print-directory build
	@test -z "$$(find Sources Package.swift -newer .build/release/mnedcd -print -quit)" || \
	  echo "make: the sources have changed since the programs were built; 'make build' brings them up to date" >&2
	install -d $(sbin) $(bin) $(doc)/examples $(bash) $(zsh) $(fish)
	@set -e; \
	put() { install -m "$$1" "$$2" "$$3"; echo "$$3"; }; \
	for program in $(DAEMONS); do put 755 .build/release/$$program $(sbin)/$$program; $(STRIP) $(sbin)/$$program; done; \
	for program in $(TOOLS); do put 755 .build/release/$$program $(bin)/$$program; $(STRIP) $(bin)/$$program; done; \
	for page in $(wildcard man/*.[1-8]); do \
	  section=$(man)/man$${page##*.}; install -d "$$section"; put 644 "$$page" "$$section/$${page##*/}"; done; \
	for file in completions/bash/*; do put 644 "$$file" $(bash)/$${file##*/}; done; \
	for file in completions/zsh/*; do put 644 "$$file" $(zsh)/$${file##*/}; done; \
	for file in completions/fish/*; do put 644 "$$file" $(fish)/$${file##*/}; done; \
	for example in $(wildcard examples/*.yaml); do put 644 "$$example" $(doc)/examples/$${example##*/}; done; \
	for example in nat-lab.sh place-task.sh on-peer.sh orchestration-bridge.py; do \
	  put 755 examples/$$example $(doc)/examples/$$example; done

uninstall: ## what install made
	rm -f $(DAEMONS:%=$(sbin)/%) $(TOOLS:%=$(bin)/%)
	rm -f $(PROGRAMS:%=$(bash)/%) $(PROGRAMS:%=$(zsh)/_%) $(PROGRAMS:%=$(fish)/%.fish)
	@for page in $(notdir $(wildcard man/*.[1-8])); do rm -f $(man)/man$${page##*.}/$$page; done
	rm -rf $(doc)

clean: ## what was built
	rm -rf .build .pytest_cache
	find Tests -name __pycache__ -type d -exec rm -rf {} +
