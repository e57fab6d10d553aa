//! Turns measurements of voices into a plan with reasons; pure.
