//! Writes OCI image archives: static binaries on a minimal base, byte for byte reproducible.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::digest::sha256;

/// The user that containers run as: nobody in particular.
const USER: u64 = 65532;

const PASSWD: &[u8] = b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n";
const GROUP: &[u8] = b"root:x:0:\nnonroot:x:65532:\n";

/// Where programs look for certificate authorities; Debian has its own there, too.
pub(crate) const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An image that runs a static binary.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// The full name with registry and tag, as the container runtime lists it.
    pub(crate) name: &'a str,
    /// The names of the binaries, which are in the image's root. The first is its entrypoint.
    pub(crate) programs: &'a [&'a str],
    /// Where they were built.
    pub(crate) folder: &'a Path,
    /// A bundle of certificate authorities (PEM), for programs that call others by TLS.
    pub(crate) authorities: Option<&'a Path>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The digest of the image's manifest, as the container runtime lists it.
    pub(crate) digest: String,
    /// The size of the image's content in bytes.
    pub(crate) size: u64,
}

impl<'a> Image<'a> {
    /// Writes the archive, replacing an older one at once.
    pub(crate) fn write(&self, archive: &Path) -> Result<Written> {
        let read =
            |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let program = |name: &&'a str| anyhow::Ok((*name, read(&self.folder.join(name))?));
        let programs = self
            .programs
            .iter()
            .map(program)
            .collect::<Result<Vec<_>>>()?;
        let authorities = self
            .authorities
            .map(|path| read(path).context("the package ca-certificates has it"))
            .transpose()?;
        let (bytes, written) = self.pack(&programs, authorities.as_deref())?;
        let fresh = archive.with_extension("fresh");
        fs::write(&fresh, bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
        fs::rename(&fresh, archive)
            .with_context(|| format!("cannot write {}", archive.display()))?;
        Ok(written)
    }

    fn pack(
        &self,
        programs: &[(&str, Vec<u8>)],
        authorities: Option<&[u8]>,
    ) -> Result<(Vec<u8>, Written)> {
        let (entrypoint, _) = programs.first().context("the image has no program")?;
        let layer = layer(programs, authorities).context("cannot pack the layer")?;
        let layer_digest = format!("sha256:{}", sha256(&layer));
        let architecture = architecture();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": [format!("/{entrypoint}")],
                "Env": ["PATH=/"],
                "User": format!("{USER}:{USER}"),
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask images"}],
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        let mut top = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        if let Some(fields) = top.as_object_mut() {
            fields.insert(
                "platform".into(),
                json!({"architecture": architecture, "os": "linux"}),
            );
            fields.insert(
                "annotations".into(),
                json!({
                    "io.containerd.image.name": self.name,
                    "org.opencontainers.image.ref.name": tag,
                }),
            );
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [top],
        });
        let written = Written {
            digest: format!("sha256:{}", sha256(&manifest)),
            size: u64::try_from(layer.len() + config.len() + manifest.len())
                .context("the image is too large")?,
        };

        let mut blobs = vec![
            (sha256(&config), config),
            (sha256(&layer), layer),
            (sha256(&manifest), manifest),
        ];
        blobs.sort_by(|one, other| one.0.cmp(&other.0));
        let mut archive = Builder::new(Vec::new());
        folder(&mut archive, "blobs/", 0o755)?;
        folder(&mut archive, "blobs/sha256/", 0o755)?;
        for (digest, bytes) in &blobs {
            file(
                &mut archive,
                &format!("blobs/sha256/{digest}"),
                0o644,
                bytes,
            )?;
        }
        file(
            &mut archive,
            "index.json",
            0o644,
            index.to_string().as_bytes(),
        )?;
        file(
            &mut archive,
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        Ok((
            archive.into_inner().context("cannot pack the archive")?,
            written,
        ))
    }
}

/// The root file system, as a tar archive with names in order.
fn layer(programs: &[(&str, Vec<u8>)], authorities: Option<&[u8]>) -> Result<Vec<u8>> {
    let mut files = vec![("etc/group", 0o644, GROUP), ("etc/passwd", 0o644, PASSWD)];
    files.extend(authorities.map(|bytes| (AUTHORITIES.trim_start_matches('/'), 0o644, bytes)));
    files.extend(
        programs
            .iter()
            .map(|(name, bytes)| (*name, 0o755, bytes.as_slice())),
    );
    files.sort_by_key(|(path, _, _)| *path);
    let mut layer = Builder::new(Vec::new());
    folder(&mut layer, "etc/", 0o755)?;
    if authorities.is_some() {
        folder(&mut layer, "etc/ssl/", 0o755)?;
        folder(&mut layer, "etc/ssl/certs/", 0o755)?;
    }
    folder(&mut layer, "tmp/", 0o1777)?;
    for (path, mode, bytes) in files {
        file(&mut layer, path, mode, bytes)?;
    }
    Ok(layer.into_inner()?)
}

/// Reads back what [`Image::write`] wrote: the digest of the image's manifest.
pub(crate) fn digest_of(archive: &Path) -> Result<String> {
    let file =
        fs::File::open(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let mut tar = tar::Archive::new(file);
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == "index.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let index: Value = serde_json::from_str(&text)?;
            return index
                .pointer("/manifests/0/digest")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("{} names no manifest", archive.display()));
        }
    }
    anyhow::bail!("{} is no OCI image archive", archive.display());
}

/// Whether the output of `ctr images ls` has the image with this digest.
pub(crate) fn is_listed(listing: &str, name: &str, digest: &str) -> bool {
    listing.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(name) && words.any(|word| word == digest)
    })
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

/// This host's architecture in the words of OCI.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn folder(builder: &mut Builder<Vec<u8>>, path: &str, mode: u32) -> Result<()> {
    let mut header = header(EntryType::Directory, mode, 0);
    Ok(builder.append_data(&mut header, path, std::io::empty())?)
}

fn file(builder: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let size = u64::try_from(bytes.len()).context("the file is too large")?;
    let mut header = header(EntryType::Regular, mode, size);
    Ok(builder.append_data(&mut header, path, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image<'static> {
        Image {
            name: "docker.io/muster/operator:0.1.0",
            programs: &["operator", "a-tool"],
            folder: Path::new("unused"),
            authorities: None,
        }
    }

    fn pack(binary: &[u8]) -> (Vec<u8>, Written) {
        let programs = [("operator", binary.to_vec()), ("a-tool", b"tool".to_vec())];
        image().pack(&programs, None).unwrap()
    }

    fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
        tar::Archive::new(archive)
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                assert_eq!(entry.header().mtime().unwrap(), 0);
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (entry.path().unwrap().display().to_string(), bytes)
            })
            .collect()
    }

    #[test]
    fn the_same_binary_makes_the_same_archive() {
        assert_eq!(pack(b"binary"), pack(b"binary"));
        assert_ne!(pack(b"binary").1, pack(b"other").1);
    }

    #[test]
    fn every_blob_is_named_by_its_digest_and_reached_from_the_index() {
        let (archive, written) = pack(b"binary");
        let entries = entries(&archive);
        for (path, bytes) in &entries {
            if let Some(digest) = path
                .strip_prefix("blobs/sha256/")
                .filter(|rest| !rest.is_empty())
            {
                assert_eq!(digest, sha256(bytes));
            }
        }
        let blob = |digest: &str| {
            let path = format!("blobs/{}", digest.replace(':', "/"));
            &entries.iter().find(|(name, _)| *name == path).unwrap().1
        };
        let index = &entries
            .iter()
            .find(|(name, _)| name == "index.json")
            .unwrap()
            .1;
        let index: Value = serde_json::from_slice(index).unwrap();
        let top = &index["manifests"][0];
        assert_eq!(top["digest"], written.digest);
        assert_eq!(top["annotations"]["io.containerd.image.name"], image().name);
        assert_eq!(
            top["annotations"]["org.opencontainers.image.ref.name"],
            "0.1.0"
        );
        let manifest: Value = serde_json::from_slice(blob(&written.digest)).unwrap();
        let config: Value =
            serde_json::from_slice(blob(manifest["config"]["digest"].as_str().unwrap())).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/operator"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], layer);
        let files: Vec<String> = self::entries(blob(layer))
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(
            files,
            [
                "etc/",
                "tmp/",
                "a-tool",
                "etc/group",
                "etc/passwd",
                "operator"
            ]
        );
    }

    #[test]
    fn authorities_are_where_programs_look_for_them() {
        let programs = [("auth", b"binary".to_vec())];
        let layer = layer(&programs, Some(b"certificates")).unwrap();
        let entries = entries(&layer);
        let at = |path: &str| entries.iter().position(|(name, _)| name == path).unwrap();
        let file = at(AUTHORITIES.trim_start_matches('/'));
        assert!(at("etc/ssl/") < at("etc/ssl/certs/") && at("etc/ssl/certs/") < file);
        assert_eq!(entries[file].1, b"certificates");
    }

    #[test]
    fn listings_are_matched_by_name_and_digest() {
        let listing =
            "REF TYPE DIGEST SIZE\ndocker.io/muster/operator:0.1.0 application/x sha256:aa 5 MiB\n";
        assert!(is_listed(
            listing,
            "docker.io/muster/operator:0.1.0",
            "sha256:aa"
        ));
        assert!(!is_listed(
            listing,
            "docker.io/muster/operator:0.1.0",
            "sha256:bb"
        ));
        assert!(!is_listed(
            listing,
            "docker.io/muster/allocator:0.1.0",
            "sha256:aa"
        ));
    }
}
