//! Tests of the built binaries that need no cluster.
