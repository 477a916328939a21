//! Bytes to typed pixels and back: label maps, instance maps, pictures.
