#!/usr/bin/env bash
# Runs on this machine what bundle.json says, without network, and packs what is to come back.
#
#   [PYTHON=python3.12] bash run.sh [FOLDER]     FOLDER: where studykit-back.tar.gz goes, this one by default
#
# A second call goes on where the first one stopped, without tests and benchmarks that are done.
# STUDYKIT_TRAIN_UNTESTED=1 trains on a card whose tests fail.
set -euo pipefail
back=$(cd "${1:-$(dirname "$0")}" && pwd)
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}

# Named before any work: a wrong Python, an old torch, no card, too little memory, a full disk.
"$PYTHON" - bundle.json node.json < source/studykit/bundle/node.py

if [ ! -e site/.ready ]; then
    rm -rf site && mkdir site
    if compgen -G 'wheels/*.whl' > /dev/null; then
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --target site wheels/*.whl
    fi
    touch site/.ready
fi

export STUDYKIT_HOME=$PWD/source STUDYKIT_RESULTS=$PWD/results STUDYKIT_DATA=$PWD/data
export PYTHONPATH=$PWD/source:$PWD/site${PYTHONPATH:+:$PYTHONPATH}
exec "$PYTHON" -P -m studykit.bundle.drive "$PWD" "$back"
