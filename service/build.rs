//! The studio's files are part of the binary: a change in their folder builds it anew.

fn main() {
    println!("cargo:rerun-if-changed=studio");
}
