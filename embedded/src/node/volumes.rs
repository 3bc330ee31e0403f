//! Volumes: what lies in them, decided purely ([`contents`]), and how it gets there ([`publish`]).
//!
//! Each volume is a directory below the node's root; a container finds it because its mount
//! paths are rewritten. Files of ConfigMaps, Secrets and tokens are replaced all at once: they
//! are links into a directory that is itself reached by one link, which is swapped.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Pod,
    ServiceAccountTokenProjection, Volume,
};

use super::env::{Sources, field, resource};
use super::rewrite::Mounts;

/// Mode of a file unless the pod says otherwise.
const MODE: u32 = 0o644;
/// Mode of a token, whatever the pod says: all processes here are of the same user.
const TOKEN_MODE: u32 = 0o600;

/// The ConfigMap with the API server's certificate, which every pod with a token refers to: an API
/// server without TLS has none.
const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";

/// One file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Its content.
    pub(super) data: Vec<u8>,
    /// Its permissions.
    pub(super) mode: u32,
}

/// Files of a volume by their path in it.
pub(super) type Files = BTreeMap<String, File>;

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// An empty directory, for as long as the pod lives.
    Empty,
    /// Files that follow their source.
    Files(Files),
    /// A path of the host.
    Host(PathBuf),
}

/// A token of a volume: which volume, and which of its sources.
pub(super) type TokenKey = (String, usize);

/// The tokens that a pod's volumes hold.
pub(super) fn tokens(pod: &Pod) -> BTreeMap<TokenKey, ServiceAccountTokenProjection> {
    let mut tokens = BTreeMap::new();
    for volume in volumes(pod) {
        let sources = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        for (index, source) in sources.enumerate() {
            if let Some(token) = &source.service_account_token {
                tokens.insert((volume.name.clone(), index), token.clone());
            }
        }
    }
    tokens
}

/// The volumes of a pod.
pub(super) fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
}

/// What lies in a volume; else why it cannot be made, in the kubelet's words where it has some.
pub(super) fn contents(
    pod: &Pod,
    volume: &Volume,
    sources: &dyn Sources,
    tokens: &BTreeMap<TokenKey, String>,
) -> Result<Contents, String> {
    let name = &volume.name;
    let mut files = Files::new();
    if volume.empty_dir.is_some() {
        return Ok(Contents::Empty);
    }
    if let Some(host) = &volume.host_path {
        return host_path(host).map(Contents::Host);
    }
    if let Some(wanted) = &volume.config_map {
        let given = Given {
            items: wanted.items.as_deref(),
            mode: mode(wanted.default_mode),
            optional: wanted.optional == Some(true),
        };
        given.config_map(&wanted.name, sources, &mut files)?;
    } else if let Some(wanted) = &volume.secret {
        let given = Given {
            items: wanted.items.as_deref(),
            mode: mode(wanted.default_mode),
            optional: wanted.optional == Some(true),
        };
        let secret = wanted.secret_name.as_deref().unwrap_or_default();
        given.secret(secret, sources, &mut files)?;
    } else if let Some(wanted) = &volume.downward_api {
        let items = wanted.items.as_deref().unwrap_or_default();
        downward(pod, items, mode(wanted.default_mode), sources, &mut files)?;
    } else if let Some(projected) = &volume.projected {
        let default = mode(projected.default_mode);
        for (index, source) in projected.sources.iter().flatten().enumerate() {
            if let Some(token) = &source.service_account_token {
                let key = (name.clone(), index);
                let value = tokens
                    .get(&key)
                    .ok_or_else(|| "the token has not been issued yet".to_owned())?;
                put(&mut files, &token.path, value.as_bytes(), TOKEN_MODE)?;
            } else if let Some(wanted) = &source.config_map {
                let given = Given {
                    items: wanted.items.as_deref(),
                    mode: default,
                    optional: wanted.optional == Some(true) || wanted.name == ROOT_CERTIFICATE,
                };
                given.config_map(&wanted.name, sources, &mut files)?;
            } else if let Some(wanted) = &source.secret {
                let given = Given {
                    items: wanted.items.as_deref(),
                    mode: default,
                    optional: wanted.optional == Some(true),
                };
                given.secret(&wanted.name, sources, &mut files)?;
            } else if let Some(wanted) = &source.downward_api {
                let items = wanted.items.as_deref().unwrap_or_default();
                downward(pod, items, default, sources, &mut files)?;
            } else {
                return Err(format!(
                    "source {index} of the projected volume {name:?} is of a kind that the \
                     process-based node does not have"
                ));
            }
        }
    } else {
        return Err(format!(
            "volume {name:?} is of a kind that the process-based node does not have: use \
             emptyDir, configMap, secret, projected, downwardAPI or hostPath"
        ));
    }
    Ok(Contents::Files(files))
}

/// Which keys of a ConfigMap or Secret become files.
#[derive(Clone, Copy, Debug)]
struct Given<'a> {
    items: Option<&'a [KeyToPath]>,
    mode: u32,
    optional: bool,
}

impl Given<'_> {
    fn config_map(
        self,
        name: &str,
        sources: &dyn Sources,
        files: &mut Files,
    ) -> Result<(), String> {
        let Some(map) = sources.config_map(name) else {
            return self.absent("configmap", name);
        };
        let texts = map.data.iter().flatten();
        let data = texts
            .map(|(key, text)| (key.as_str(), text.as_bytes()))
            .chain(
                map.binary_data
                    .iter()
                    .flatten()
                    .map(|(key, ByteString(bytes))| (key.as_str(), bytes.as_slice())),
            )
            .collect();
        self.pick("configmap", name, &data, files)
    }

    fn secret(self, name: &str, sources: &dyn Sources, files: &mut Files) -> Result<(), String> {
        let Some(secret) = sources.secret(name) else {
            return self.absent("secret", name);
        };
        let data = secret
            .data
            .iter()
            .flatten()
            .map(|(key, ByteString(bytes))| (key.as_str(), bytes.as_slice()))
            .collect();
        self.pick("secret", name, &data, files)
    }

    fn absent(self, kind: &str, name: &str) -> Result<(), String> {
        if self.optional {
            Ok(())
        } else {
            Err(format!("{kind} {name:?} not found"))
        }
    }

    fn pick(
        self,
        kind: &str,
        name: &str,
        data: &BTreeMap<&str, &[u8]>,
        files: &mut Files,
    ) -> Result<(), String> {
        let Some(items) = self.items else {
            for (key, bytes) in data {
                put(files, key, bytes, self.mode)?;
            }
            return Ok(());
        };
        for item in items {
            match data.get(item.key.as_str()) {
                Some(bytes) => {
                    let mode = item.mode.map_or(self.mode, |own| mode(Some(own)));
                    put(files, &item.path, bytes, mode)?;
                }
                None if self.optional => {}
                None => {
                    return Err(format!(
                        "references non-existent {kind} key: {} of {name:?}",
                        item.key
                    ));
                }
            }
        }
        Ok(())
    }
}

fn downward(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    default: u32,
    sources: &dyn Sources,
    files: &mut Files,
) -> Result<(), String> {
    for item in items {
        let value = if let Some(field_ref) = &item.field_ref {
            field(pod, &field_ref.field_path, sources.address())
                .ok_or_else(|| format!("unsupported fieldPath: {}", field_ref.field_path))?
        } else if let Some(selector) = &item.resource_field_ref {
            resource(pod, None, selector, sources.allocatable())?
        } else {
            String::new()
        };
        let mode = item.mode.map_or(default, |own| mode(Some(own)));
        put(files, &item.path, value.as_bytes(), mode)?;
    }
    Ok(())
}

/// Adds a file. Paths that leave the volume are refused, as the API server does.
fn put(files: &mut Files, path: &str, data: &[u8], mode: u32) -> Result<(), String> {
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || path.starts_with("..") || !inside {
        return Err(format!("the path {path:?} is not inside the volume"));
    }
    let data = data.to_vec();
    files.insert(path.to_owned(), File { data, mode });
    Ok(())
}

fn mode(wanted: Option<i32>) -> u32 {
    wanted
        .and_then(|mode| u32::try_from(mode).ok())
        .map_or(MODE, |mode| mode & 0o777)
}

/// The path of a hostPath volume; makes it if its type says so.
fn host_path(wanted: &HostPathVolumeSource) -> Result<PathBuf, String> {
    let path = PathBuf::from(&wanted.path);
    let kind = wanted.type_.as_deref().unwrap_or_default();
    let made = match kind {
        "DirectoryOrCreate" => fs::create_dir_all(&path),
        "FileOrCreate" => fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map(drop),
        _ => Ok(()),
    };
    made.map_err(|error| format!("hostPath {}: {error}", wanted.path))?;
    let fits = match kind {
        "" => true,
        "Directory" | "DirectoryOrCreate" => path.is_dir(),
        "File" | "FileOrCreate" => path.is_file(),
        _ => path.exists(),
    };
    if fits {
        Ok(path)
    } else {
        Err(format!(
            "hostPath type check failed: {} is not a {}",
            wanted.path,
            kind.to_lowercase()
        ))
    }
}

/// Where the mounts of a container really are. `place` says where a volume is.
pub(super) fn mounts(
    container: &Container,
    place: impl Fn(&str) -> Option<PathBuf>,
    variables: impl Fn(&str) -> String,
) -> Mounts {
    Mounts::new(
        container
            .volume_mounts
            .iter()
            .flatten()
            .filter_map(|mount| {
                let mut directory = place(&mount.name)?;
                if let Some(below) = &mount.sub_path {
                    directory.push(below);
                } else if let Some(below) = &mount.sub_path_expr {
                    directory.push(variables(below));
                }
                Some((mount.mount_path.clone(), directory))
            }),
    )
}

/// Makes a directory that only this user may enter.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Puts files into a volume in place of those that are there, all at once.
pub(super) fn publish(directory: &Path, files: &Files, number: u64) -> io::Result<()> {
    private_directory(directory)?;
    let data = directory.join("..data");
    let before = fs::read_link(&data).ok();
    let fresh = format!("..{number}");
    let target = directory.join(&fresh);
    // A run that was killed half-way may have left it.
    remove(&target)?;
    private_directory(&target)?;
    for (path, file) in files {
        let path = target.join(path);
        if let Some(parent) = path.parent() {
            private_directory(parent)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut handle = options
            .write(true)
            .create_new(true)
            .mode(file.mode)
            .open(&path)?;
        io::Write::write_all(&mut handle, &file.data)?;
    }
    let swap = directory.join("..data_tmp");
    remove(&swap)?;
    symlink(&fresh, &swap)?;
    fs::rename(&swap, &data)?;

    let visible: std::collections::BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.split('/').next())
        .collect();
    for name in &visible {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(name), &link)?;
        }
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !visible.contains(name.as_ref()) {
            remove(&entry.path())?;
        }
    }
    match before {
        Some(before) if before != Path::new(&fresh) => remove(&directory.join(before)),
        _ => Ok(()),
    }
}

/// Removes whatever is at a path, if anything is.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
