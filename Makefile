# MNEDC: build, try, check and install. `make` lists what there is.

PREFIX ?= /usr/local
DESTDIR ?=
# The programs look for their configuration in /etc/mnedc; an example of it is installed there.
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Where systemd-networkd and NetworkManager look for what they leave alone; the latter below /usr and /etc only.
NETWORKDIR ?= $(PREFIX)/lib/systemd/network
NMCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib,$(SYSCONFDIR))/NetworkManager/conf.d
# The programs that are installed and packaged.
BUILD ?= .build/release
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
  --disable-local-rpath -Xswiftc -use-ld=lld -Xlinker --no-export-dynamic \
  -Xlinker -z -Xlinker now $(RELR)
DEBUG := --configuration debug --explicit-target-dependency-import-check error

DAEMONS := mnedcd mnedc-join
TOOLS := mnedc-peers mnedc-ctl
PROGRAMS := $(DAEMONS) $(TOOLS)
SCRIPTS := .ci/run $(shell find examples Tests Sources -name '*.sh' | sort)

.DEFAULT_GOAL := help
.PHONY: help build demo check lint unit allocations integration bench fuzz format completions version install uninstall deb clean

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
	Tests/unit.sh $(SWIFT) test $(DEBUG) --skip-build --parallel

# Optimised, as it is installed, or the compiler's own allocations would count.
allocations: ## that the data path allocates nothing per packet
	@$(MAKE) --no-print-directory build
	.build/release/allocations

# With the debug programs, which the unit tests have built already: they also check who owns what. Mostly the tests wait for one
# another's timers, so one test more than there are cores runs at a time, where pytest-xdist is there; the long ones begin
# (conftest.py). A test that hangs says after a quarter of an hour where it is, and all of them end within fifty minutes.
integration: ## the real programs in network namespaces (root)
	$(SWIFT) build $(DEBUG)
	Tests/no-foundation.sh .build/debug
	export BUILD=.build/debug PYTHONPATH=.build/python; \
	timeout --foreground --signal=INT --kill-after=60 3000 \
	  $(PYTHON) -m pytest -q --tb=short -p no:cacheprovider -o faulthandler_timeout=900 Tests/Integration \
	  $$($(PYTHON) -c 'import xdist' 2>/dev/null && echo --numprocesses $$(($$(nproc) + 1)) --dist loadgroup --no-loadscope-reorder)

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

version: ## the suite's version, which stands in Sources/CommandLine/Entry.swift alone
	@sed -n 's/^public let suiteVersion = "\(.*\)"$$/\1/p' Sources/CommandLine/Entry.swift

install uninstall deb: export PREFIX := $(PREFIX)
install uninstall deb: export DESTDIR := $(DESTDIR)
install uninstall deb: export SYSCONFDIR := $(SYSCONFDIR)
install uninstall deb: export UNITDIR := $(UNITDIR)
install uninstall deb: export NETWORKDIR := $(NETWORKDIR)
install uninstall deb: export NMCONFDIR := $(NMCONFDIR)
install uninstall deb: export BUILD := $(BUILD)
install uninstall deb: export STRIP := $(STRIP)

install: ## programs, man pages, completions, units and examples, below PREFIX; builds first if nothing is built
	@test -x "$(BUILD)/mnedcd" || $(MAKE) --no-print-directory build
	@test -z "$$(find Sources Package.swift -name '*.swift' -newer "$(BUILD)/mnedcd" -print -quit)" || \
	  echo "make: the sources have changed since the programs were built; 'make build' brings them up to date" >&2
	@Sources/Packaging/install.sh install

uninstall: ## what install made, with the same PREFIX and DESTDIR
	@Sources/Packaging/install.sh uninstall

deb: ## a Debian package of the programs: .build/mnedc_VERSION_ARCHITECTURE.deb
	@Tests/requirements.sh deb
	@test "$(BUILD)" != .build/release || $(MAKE) --no-print-directory build
	@Sources/Packaging/deb.sh

clean: ## what was built
	rm -rf .build .pytest_cache
	find Tests -name __pycache__ -type d -exec rm -rf {} +
