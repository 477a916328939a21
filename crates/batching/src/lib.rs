//! Gathers jobs into batches for a worker; knows time and deadlines, not pixels.
