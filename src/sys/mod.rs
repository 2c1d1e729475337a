//! The machine we run on: environment, clock, files, processes, signals. Knows nothing of gates.
