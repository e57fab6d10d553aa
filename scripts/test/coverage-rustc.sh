#!/bin/sh
# What cargo calls instead of rustc for our own crates while coverage is measured. Names stay uncompressed: not every
# build of llvm-cov can read compressed ones. Counters are written as they count, so that a killed program's are kept.
exec "$@" -C instrument-coverage -C llvm-args=-enable-name-compression=false -C llvm-args=-runtime-counter-relocation
