//! Makes the folder of the built UI exist, so that a build without Node embeds nothing instead of failing.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=ui/dist");
    let dist = Path::new("ui/dist");
    if !dist.exists() {
        fs::create_dir_all(dist)?;
    }
    Ok(())
}
