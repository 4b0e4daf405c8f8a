#!/bin/sh
# Compiles the driver into a jar: build.sh FLINK_LIB_DIR OUTPUT_JAR
# The same sources and compiler give the same bytes.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 FLINK_LIB_DIR OUTPUT_JAR" >&2
    exit 2
fi
lib=$1
output=$2
here=$(cd "$(dirname "$0")" && pwd)

for tool in javac jar; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "$0: $tool not found: install a JDK (11 or later), for example openjdk-17-jdk-headless" >&2
        exit 1
    fi
done
if ! ls "$lib"/flink-dist-*.jar >/dev/null 2>&1; then
    echo "$0: no flink-dist-*.jar in $lib" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/classes/META-INF" "$work/flink2" "$(dirname "$output")"

# One jar serves Flink 1.20 and 2: what only 2 has is declared in src/flink2 and compiled against, no more.
find "$here/src/flink2" -name '*.java' | LC_ALL=C sort >"$work/declarations"
javac --release 11 -encoding UTF-8 -proc:none -Werror -Xlint:all,-classfile,-path \
    -cp "$lib/*" -d "$work/flink2" @"$work/declarations"

# Not linted: "classfile", because Flink's classes carry annotations that are not in its jars, and
# "path", because its jars name others that are not there.
find "$here/src/main/java" -name '*.java' | LC_ALL=C sort >"$work/sources"
javac --release 11 -encoding UTF-8 -g:source,lines -proc:none -Werror -Xlint:all,-classfile,-path \
    -cp "$lib/*:$work/flink2" -d "$work/classes" @"$work/sources"

printf 'Manifest-Version: 1.0\n\n' >"$work/classes/META-INF/MANIFEST.MF"
# A zip holds times of the local zone, so both are fixed.
TZ=UTC
export TZ
find "$work/classes" -type f -exec touch -t 198002010000 {} +
cd "$work/classes"
{
    echo META-INF/MANIFEST.MF
    find org -type f | LC_ALL=C sort
} >"$work/files"
jar --create --no-manifest --file "$work/driver.jar" @"$work/files"
cd - >/dev/null
mv "$work/driver.jar" "$output"
