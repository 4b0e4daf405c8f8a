#!/bin/sh
# Compiles and runs the tests: test.sh FLINK_LIB_DIR
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 FLINK_LIB_DIR" >&2
    exit 2
fi
lib=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/build.sh" "$lib" "$work/driver.jar"
find "$here/src/test/java" -name '*.java' | LC_ALL=C sort >"$work/sources"
javac --release 11 -encoding UTF-8 -proc:none -Werror -Xlint:all,-classfile,-path \
    -cp "$work/driver.jar:$lib/*" -d "$work/classes" @"$work/sources"
for source in "$here"/src/test/java/org/headrace/flink/*Test.java; do
    name=$(basename "$source" .java)
    java -ea -cp "$work/classes:$work/driver.jar:$lib/*" "org.headrace.flink.$name"
    echo "$name passed"
done
