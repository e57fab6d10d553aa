#!/bin/sh
# What cargo calls instead of rustc for our own crates while coverage is measured.
exec "$@" -C instrument-coverage
