//! Builds static binaries and packs each into an OCI image archive, without Docker.

pub(crate) mod oci;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::cluster::{Cluster, Selection};
use crate::process::{self, progress};
use crate::repository;

/// Packages and the binaries of an image: the first names it and is what it runs, the others are
/// for `kubectl exec` or another command.
const IMAGES: [(&str, &[&str]); 7] = [
    ("operator", &["operator"]),
    ("allocator", &["allocator"]),
    ("auth", &["auth"]),
    ("lobby", &["lobby"]),
    ("sdk-server", &["sdk-server"]),
    ("gameserver", &["simple-server"]),
    ("gameserver", &["arena-server", "arena-replay"]),
];

/// Packages that call services of others by TLS: providers, mail servers, object storage, Vault.
const CALLERS: [&str; 2] = ["auth", "lobby"];

/// How the binaries are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    Release,
    Dev,
}

impl Profile {
    /// Cargo's name of the profile.
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// The profile of the SDK server, which is built for size.
    const fn of_sdk_server(self) -> &'static str {
        match self {
            Self::Release => "small",
            Self::Dev => "dev",
        }
    }
}

/// Arguments of `cargo xtask images`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    #[command(flatten)]
    pub(crate) build: BuildArgs,
    /// Loads the images into the running cluster.
    #[arg(long)]
    load: bool,
    #[command(flatten)]
    selection: Selection,
}

/// What is built, and under which tag.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildArgs {
    /// How the binaries are compiled.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    pub(crate) profile: Profile,
    /// The tag of the images; default: the version of the workspace.
    #[arg(long)]
    pub(crate) tag: Option<String>,
}

/// An image archive on disk.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) name: String,
    pub(crate) archive: PathBuf,
    pub(crate) written: oci::Written,
}

/// Runs `cargo xtask images`.
pub(crate) fn run(args: &ImagesArgs) -> Result<()> {
    let built = build(&args.build)?;
    print_table(&built);
    if args.load {
        load(&args.selection.cluster()?, &built)?;
    }
    Ok(())
}

impl BuildArgs {
    /// The tag that images get.
    pub(crate) fn resolved_tag(&self) -> Result<String> {
        match &self.tag {
            Some(tag) => Ok(tag.clone()),
            None => Ok(repository::metadata()?.version()?.to_owned()),
        }
    }
}

/// Compiles the binaries and writes `target/images/<image>.tar`.
pub(crate) fn build(args: &BuildArgs) -> Result<Vec<Built>> {
    let metadata = repository::metadata()?;
    let triple = match std::env::consts::ARCH {
        "x86_64" => "x86_64-unknown-linux-gnu",
        "aarch64" => "aarch64-unknown-linux-gnu",
        other => bail!("images are built on x86_64 and aarch64 hosts, not on {other}"),
    };
    progress(&format!(
        "compiling the binaries of the images ({}) …",
        args.profile.name()
    ));
    // Packages of one profile are compiled together; the SDK server is compiled alone, so that no
    // other package's features make it larger.
    let binaries = |(package, programs): (&'static str, &'static [&'static str])| {
        programs.iter().map(move |program| (package, *program))
    };
    let (small, others): (Vec<_>, Vec<_>) = IMAGES
        .into_iter()
        .flat_map(binaries)
        .partition(|(package, _)| *package == "sdk-server");
    compile(triple, args.profile.name(), &others)?;
    compile(triple, args.profile.of_sdk_server(), &small)?;

    let output = metadata.target_directory.join("images");
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let tag = args.resolved_tag()?;
    IMAGES
        .into_iter()
        .filter_map(|(package, programs)| Some((package, programs, programs.first()?)))
        .map(|(package, programs, image)| {
            let name = format!("docker.io/muster/{image}:{tag}");
            let archive = output.join(format!("{image}.tar"));
            let profile = if package == "sdk-server" {
                args.profile.of_sdk_server()
            } else {
                args.profile.name()
            };
            // Cargo's folder for the profile `dev` is `debug`.
            let folder = if profile == "dev" { "debug" } else { profile };
            let image = oci::Image {
                name: &name,
                programs,
                folder: &metadata.target_directory.join(triple).join(folder),
                authorities: CALLERS
                    .contains(&package)
                    .then_some(Path::new(oci::AUTHORITIES)),
            };
            let written = image.write(&archive)?;
            Ok(Built {
                name,
                archive,
                written,
            })
        })
        .collect()
}

/// Compiles static binaries.
fn compile(triple: &str, profile: &str, binaries: &[(&str, &str)]) -> Result<()> {
    let mut command = repository::cargo();
    command
        .args(["build", "--profile", profile, "--target", triple])
        .env(
            format!(
                "CARGO_TARGET_{}_RUSTFLAGS",
                triple.to_uppercase().replace('-', "_")
            ),
            "-C target-feature=+crt-static",
        )
        // It would win over the variable above.
        .env_remove("RUSTFLAGS");
    for (package, binary) in binaries {
        command.args(["--package", package, "--bin", binary]);
    }
    process::run(&mut command)
}

/// Loads the images that the cluster does not have yet.
pub(crate) fn load(cluster: &Cluster, built: &[Built]) -> Result<()> {
    for image in built {
        let is_new = cluster.load(&image.name, &image.written.digest, &image.archive)?;
        progress(&format!(
            "{}: {}",
            image.name,
            if is_new { "loaded" } else { "already there" }
        ));
    }
    Ok(())
}

/// One digest for all the images: it changes when one of them does.
pub(crate) fn joint_digest(built: &[Built]) -> String {
    let all: Vec<&str> = built
        .iter()
        .map(|image| image.written.digest.as_str())
        .collect();
    crate::digest::sha256(all.join("\n").as_bytes())
}

fn print_table(built: &[Built]) {
    println!("{:<40} {:>10}  DIGEST", "IMAGE", "SIZE");
    for image in built {
        println!(
            "{:<40} {:>10}  {}",
            image.name,
            readable(image.written.size),
            image.written.digest
        );
    }
}

/// A size in MiB with one decimal, in whole numbers only.
fn readable(bytes: u64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_readable() {
        assert_eq!(super::readable(5 * 1024 * 1024 + 600 * 1024), "5.5 MiB");
    }
}
