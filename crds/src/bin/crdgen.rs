//! Writes one YAML file per CustomResourceDefinition to the directory given as the only argument.
//!
//! Called by `cargo xtask codegen`; the output in `charts/muster/crds/` is committed.
#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::args().nth(1).ok_or("usage: crdgen OUT_DIR")?);
    std::fs::create_dir_all(&out)?;
    for definition in crds::definitions::all() {
        let path = out.join(format!("{}.yaml", definition.spec.names.plural));
        let yaml = crds::definitions::to_yaml(&definition)?;
        std::fs::write(&path, yaml)?;
        println!("{}", path.display());
    }
    Ok(())
}
