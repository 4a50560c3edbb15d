#!/bin/sh
# The steps of the image: build the release wheel, install it with all extras in a folder of its own.
#   sh deploy/install.sh FOLDER
# They need a Python and no container engine. What they leave in the folder needs no write access.
set -eu
sources=$(cd "$(dirname "$0")/.." && pwd)
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

python3 "$sources/deploy/build_wheel.py" "$built"
python3 -m venv "$1"
wheel=$(echo "$built"/*.whl)
"$1/bin/pip" install --quiet --disable-pip-version-check --constraint "$built/constraints.txt" \
  "$wheel[all]"
