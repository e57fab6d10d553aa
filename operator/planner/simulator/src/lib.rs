//! A discrete-event simulator of pods that speak.
