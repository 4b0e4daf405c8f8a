#!/bin/sh
# Pins every dependency with its hashes into requirements/*.txt; run it after changing pyproject.toml.
set -eu
cd "$(dirname "$0")/.."
lock() {
    out=$1; shift
    .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header pyproject.toml "$@" -o "requirements/$out.txt"
}
lock run --extra flink --group build --group demo
lock java --extra java
lock test --extra flink --group build --group demo --group dev
# clients have a place of their own, so this lock holds nothing of ours
PYTHONPATH="$PWD/scripts/without_extensions" .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --group clients -o requirements/clients.txt
printf 'uv==%s\n' "$(.venv/bin/uv --version | cut -d' ' -f2)" | .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header - -o requirements/uv.txt
