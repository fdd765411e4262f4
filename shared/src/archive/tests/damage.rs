//! What is not exactly what was written is told.
