//! Files to a verified model and back.
