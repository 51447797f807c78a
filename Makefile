# make help lists what there is. Everything sets itself up on a bare machine with
# Go and Node, as root or as an ordinary user, and is safe to repeat.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO       ?= go
TOOLS    := $(CURDIR)/.tools
export PATH := $(TOOLS)/bin:$(PATH)
LINT_VERSION := v2.15.0
VERSION  ?= $(shell git describe --tags --always 2>/dev/null || echo development)
LDFLAGS  := -X main.release=$(VERSION)

# Packages whose tests need neither a database nor a browser.
FAST = $$($(GO) list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... | grep -v -e tenancytest -e pgembed -e surface/browser -e /e2e | cut -d' ' -f1)

##@ Use it
.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Run everything on this machine: two resellers, mails, DNS, certificates
	@bin/ezscale demo

.PHONY: demo-reset
demo-reset: build ## Forget what the demo stored, so that it starts over
	@bin/ezscale demo --reset

.PHONY: build
build: themes/dist/manifest.json ## Build bin/ezscale
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ezscale ./cmd/ezscale

.PHONY: setup
setup: node_modules/.ready ## Bring what tests need: npm packages, Chromium, PgBouncer, poppler
	@scripts/setup.sh tools

.PHONY: assets
assets: node_modules/.ready ## Build stylesheets, scripts and icons into themes/dist
	node themes/assets/build.mjs

node_modules/.ready: package-lock.json
	@scripts/setup.sh npm
	@touch $@

themes/dist/manifest.json: node_modules/.ready $(shell find themes -type f -not -path "themes/dist/*" 2>/dev/null)
	node themes/assets/build.mjs
	@touch $@

##@ Check it
.PHONY: test
test: setup build ## Everything the CI runs: format, vet, all tests
	@scripts/test.sh

.PHONY: test-fast
test-fast: themes/dist/manifest.json ## Tests that need neither a database nor a browser
	$(GO) test $(FAST)

.PHONY: test-race
test-race: setup build ## All tests under the race detector; slow
	$(GO) test -race -timeout 60m ./...

.PHONY: test-citus
test-citus: themes/dist/manifest.json ## Tests on a Citus cluster they start, with every statement of a tenant's; PostgreSQL must have Citus
	@scripts/citus-test.sh

.PHONY: fuzz
fuzz: themes/dist/manifest.json ## Run every fuzz test for a while; time=30s each
	@scripts/fuzz.sh $(or $(time),30s)

.PHONY: lint
lint: $(TOOLS)/bin/golangci-lint themes/dist/manifest.json ## House rules and linters (building the linter takes minutes, once)
	$(TOOLS)/bin/golangci-lint run ./...

$(TOOLS)/bin/golangci-lint:
	@echo "building golangci-lint $(LINT_VERSION), once; this takes some minutes"
	@mkdir -p $(TOOLS)/bin
	GOBIN=$(TOOLS)/bin GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

.PHONY: all
all: lint test ## Everything there is to check

.PHONY: bench
bench: setup build ## Measure what is promised to be fast, within ten minutes
	bin/ezscale bench --tenants 2000 --duration 2s --customers 1000

##@ Change it
.PHONY: migration
migration: ## Start a migration: make migration name=add_notes [plane=central]
	@scripts/migration.sh "$(or $(plane),tenant)" "$(name)"

.PHONY: screenshots
screenshots: setup build ## Write every page in both widths, light and dark, to screenshots/
	$(GO) test ./cmd/ezscale/e2e -run TestScreenshots -count=1 -args -screenshots=$(CURDIR)/screenshots

.PHONY: pictures
pictures: setup build ## Make the pictures of README.md anew, from a demo people buy in
	$(GO) test ./cmd/ezscale/e2e -run TestMarket -count=1 -args -screenshots=$(CURDIR)/screenshots
	for p in shop=flow_buy_plan_chosen.desktop manage=flow_manage_dashboard.desktop console=flow_console_services.desktop service=flow_buy_service_running.phone; do \
		cp screenshots/$${p#*=}.png docs/images/$${p%%=*}.png || exit 1; done

.PHONY: manual
manual: ## Write the generated tables of docs/configuration.md anew
	$(GO) test ./cmd/ezscale -run TestManual -update

.PHONY: clean
clean: ## Remove what was built; the demo's data and the tools stay
	rm -rf bin screenshots themes/dist/*
