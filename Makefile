# Everything a person runs, and the same that CI runs. `make` alone lists it.
SHELL := /bin/bash
# The text reaches the shell only as a variable, whatever characters are in it: not even make looks at its dollar signs.
export TTS_DEMO_TEXT := $(value TEXT)
unexport TEXT
export TTS_DEMO := $(or $(value DEMO),full)
unexport DEMO
export TTS_PUSH_REGISTRY := $(value REGISTRY)
export TTS_PUSH_TAGS := $(value TAGS)
unexport REGISTRY TAGS
export TTS_DEMO_ON := $(CLUSTER)
export CARGO_TARGET_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tts-operator/target
.DEFAULT_GOAL := help
.PHONY: help setup build check test test-long accuracy demo images push cluster-up cluster-down crds clean clean-cache

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

setup: ## install what the tests and the demo need, pinned, into the cache folder
	@scripts/setup test

build: ## bin/tts-operator, bin/tts-server, bin/kubectl and its plugin bin/kubectl-tts
	@scripts/build.sh

check: ## formatting, lints, unit tests
	@scripts/check.sh

test: ## everything, on a throwaway cluster or on the one of TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT
	@scripts/test.sh

test-long: ## run what is too slow for make test; records the result in docs/test-long.md
	@scripts/test-long.sh

accuracy: ## compare predicted with measured time to first audio; records the result in docs/accuracy.md; TRIES=12 KEEP=3
	@scripts/accuracy.sh

demo: ## from nothing to hello.wav and a plan; TEXT="…" is spoken, DEMO=quick measures little, DEMO=speech nothing, CLUSTER=kind uses kind
	@scripts/demo.sh

images: ## the container images; prints name, digest and size of each
	@scripts/images.sh build

push: ## build the images and push them to REGISTRY=…; TAGS="…" instead of the version of the chart
	@scripts/push.sh

cluster-up: ## a throwaway Kubernetes; prints the export KUBECONFIG=… line
	@scripts/setup cluster >&2
	@e2e/cluster/cluster.sh up

cluster-down: ## stop this clone's throwaway clusters and leave the host as it was
	@e2e/cluster/cluster.sh down --all

crds: ## write the CRDs again from the Rust types, and what the charts derive from them
	@scripts/generate.sh

clean: ## remove what was built in this folder
	rm -rf bin target

clean-cache: ## list and remove the cache folder: tools, images, cargo's target
	@scripts/clean-cache.sh
