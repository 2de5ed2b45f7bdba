//! The program `sharpness`.

fn main() {}
