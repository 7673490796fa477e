#!/bin/sh
# Make requirements/run.txt and dev.txt anew from run.in and dev.in: every package, its version and its hashes, no
# addresses. Needs uv. Arguments go to uv: scripts/lock.sh --upgrade-package aiohttp
set -eu
cd "$(dirname "$0")/../requirements"
lock() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url "$@"; }
lock "$@" run.in -o run.txt
lock "$@" -c run.txt dev.in -o dev.txt
