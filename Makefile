# A thin front: Meson builds, deploy/ runs, tests/ tests.  `make` says what there is.

BUILD ?= build
GATEWAYS ?= 2
SECONDS ?= 60
MINUTES ?= 10
PYTHON := /usr/bin/python3

# Each is taken as typed: a "$" in it is not make's.
override SQL := $(value SQL)
override NAME := $(value NAME)
export SQL NAME GATEWAYS

.PHONY: help up build test test-faults test-docker lint fuzz instructions bench psql audit passwd forget settings screenshot clean install-run install-test install-lint install-fuzz install-instructions install-bench

help:
	@echo 'make up        build hubbub and run all of it here, GATEWAYS=2 gateways; Ctrl-C ends it, the data stays'
	@echo 'make psql      look into the history; SQL="select ..." prints one answer'
	@echo 'make audit     what contradicts the promises: nothing, one hopes'
	@echo 'make passwd    set the password of the account NAME=..., making it one; make forget makes it a guest again'
	@echo 'make test      run every suite, plainly and with sanitizers'
	@echo 'make test-faults  kill, freeze and cut off everything for MINUTES=10 while 40 people chat; SEED=N repeats one'
	@echo 'make test-docker  run docker-compose.yml under another name and test it from outside'
	@echo 'make lint      formatting and static analysis'
	@echo 'make fuzz      let each parser meet made-up input for SECONDS=60, as long as you like'
	@echo 'make instructions  count what decoding, encoding and delivering cost; RECORD=1 writes it down'
	@echo 'make bench     measure hubbub, the floor and its peers, some 20 minutes, and write docs/BENCHMARKS.md'
	@echo 'make settings  write docs/SETTINGS.md from the table in the code'
	@echo 'make screenshot  have a conversation and write docs/client.svg, what the client shows of it'
	@echo 'make clean     remove the builds; the data in .local stays'

up: install-run build
	@exec $(PYTHON) deploy/up.py --build $(BUILD) --gateways $(GATEWAYS)

build: install-run
	@deploy/build.sh $(BUILD)

test: install-test
	@$(PYTHON) tests/run.py --build $(BUILD) $(if $(CI),--werror)

test-faults: install-test build
	@exec $(PYTHON) tests/faults/run.py --build $(BUILD) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

test-docker:
	@deploy/install.sh test
	@exec $(PYTHON) tests/docker/run.py

lint: install-lint
	@tests/lint.sh $(BUILD)-clang

fuzz: install-fuzz
	@exec $(PYTHON) tests/fuzz/run.py --build $(BUILD)-fuzz --seconds $(SECONDS)

instructions: install-instructions build
	@exec $(PYTHON) tests/instructions/run.py --build $(BUILD) $(if $(RECORD),--record)

bench: install-bench build
	@exec $(PYTHON) bench/run.py --build $(BUILD)

psql:
	@exec $(PYTHON) deploy/history.py psql

audit:
	@exec $(PYTHON) deploy/history.py audit

passwd forget:
	@exec $(PYTHON) deploy/account.py --build $(BUILD) $@ "$$NAME"

settings: build
	@$(BUILD)/common/settings-doc >docs/SETTINGS.md.new
	@mv docs/SETTINGS.md.new docs/SETTINGS.md

screenshot: install-test build
	@BUILD_DIR=$(abspath $(BUILD)) exec $(PYTHON) docs/screenshot.py

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-clang $(BUILD)-fuzz

install-run:
	@deploy/install.sh build run

install-test:
	@deploy/install.sh build run test

install-lint:
	@deploy/install.sh build lint

install-fuzz:
	@deploy/install.sh build fuzz

install-instructions:
	@deploy/install.sh build instructions

install-bench:
	@deploy/install.sh build run bench
	@for peer in ngircd inspircd nats-server; do deploy/install.sh $$peer || echo "bench: $$peer will be left out"; done
