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
# other versions of Flink lie beside the environment, each by itself
for flink in 2.2.1 2.3.0; do
    printf 'apache-flink-libraries==%s\n' "$flink" | .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header - -o "requirements/flink-${flink%.*}.txt"
done
printf 'apache-flink==1.20.5\npy4j==0.10.9.7\nruamel-yaml>=0.18.4\n' | .venv/bin/uv pip compile --quiet --no-deps --generate-hashes --no-emit-index-url --no-header - -o requirements/pyflink.txt
# clients have a place of their own, so this lock holds nothing of ours
PYTHONPATH="$PWD/scripts/without_extensions" .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --group clients -o requirements/clients.txt
printf 'uv==%s\n' "$(.venv/bin/uv --version | cut -d' ' -f2)" | .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header - -o requirements/uv.txt
