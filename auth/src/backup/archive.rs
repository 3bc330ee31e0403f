//! Where backups lie: a folder of a file system, or a prefix of an S3 bucket.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use aws_lc_rs::digest;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use storage::Confidential;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use url::Url;

use super::{Error, File, Manifest, Written};

/// A manifest is smaller.
const LARGEST_MANIFEST: u64 = 64 * 1024;

/// How an S3 service is reached. Nothing of it is read from the environment.
#[derive(Clone, Debug, Default)]
pub struct S3 {
    /// Another service than Amazon's.
    pub endpoint: Option<Url>,
    /// The region.
    pub region: Option<String>,
    /// The id of the access key; none for the identity of the machine.
    pub access_key: Option<(String, Confidential)>,
}

/// A place for backups.
#[derive(Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the store's own, which has the access key.
        formatter
            .debug_struct("Archive")
            .field("store", &self.store.to_string())
            .field("prefix", &self.prefix.as_ref())
            .finish()
    }
}

/// The name of a backup that is begun now; names sort by time.
pub(super) fn name(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%S%3fZ").to_string()
}

/// Whether it is a name of ours: whatever else lies there is left alone.
fn is_name(text: &str) -> bool {
    text.len() == 19
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            18 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

impl Archive {
    /// Opens `file:///folder` or `s3://bucket/prefix`; makes the folder.
    pub fn open(place: &str, s3: &S3) -> Result<Self, Error> {
        let invalid = |problem: String| Error::Invalid("the place of backups", problem);
        let url = Url::parse(place).map_err(|error| invalid(error.to_string()))?;
        match url.scheme() {
            "file" => {
                let folder = url
                    .to_file_path()
                    .ok()
                    .filter(|folder| folder.parent().is_some())
                    .ok_or_else(|| invalid("it names no folder: file:///folder".into()))?;
                std::fs::create_dir_all(&folder)
                    .map_err(|error| Error::Io("the folder of backups", error))?;
                let store = LocalFileSystem::new_with_prefix(folder)?
                    .with_fsync(true)
                    // A folder without files would be seen as a backup that was never finished.
                    .with_automatic_cleanup(true);
                Ok(Self::new(Arc::new(store), Path::default()))
            }
            "s3" => {
                let bucket = url
                    .host_str()
                    .ok_or_else(|| invalid("it names no bucket".into()))?;
                let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
                if let Some(endpoint) = &s3.endpoint {
                    let text = endpoint.as_str().trim_end_matches('/');
                    let is_plain = endpoint.scheme() == "http";
                    builder = builder.with_endpoint(text).with_allow_http(is_plain);
                }
                if let Some(region) = &s3.region {
                    builder = builder.with_region(region);
                }
                if let Some((id, secret)) = &s3.access_key {
                    builder = builder
                        .with_access_key_id(id)
                        .with_secret_access_key(secret.expose());
                }
                let prefix =
                    Path::from_url_path(url.path()).map_err(|error| invalid(error.to_string()))?;
                Ok(Self::new(Arc::new(builder.build()?), prefix))
            }
            other => Err(invalid(format!("{other} is neither file nor s3"))),
        }
    }

    /// Backups below a prefix of any object store.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    /// The same store, one folder down.
    #[must_use]
    pub fn below(&self, folder: &str) -> Self {
        Self::new(Arc::clone(&self.store), self.prefix.clone().join(folder))
    }

    fn path(&self, name: &str, file: &str) -> Path {
        self.prefix.clone().join(name).join(file)
    }

    /// Begins a file. It is there only when it is finished.
    pub(super) fn create(&self, name: &str, file: File) -> Sink {
        let path = self.path(name, file.name());
        Sink {
            writer: BufWriter::new(Arc::clone(&self.store), path),
            file,
            hash: digest::Context::new(&digest::SHA256),
            bytes: 0,
            told: 0,
        }
    }

    pub(super) async fn put_manifest(&self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| Error::Manifest(error.to_string()))?;
        let path = self.path(name, "manifest.json");
        self.store.put(&path, text.into()).await?;
        Ok(())
    }

    /// The manifest of a backup.
    pub async fn manifest(&self, name: &str) -> Result<Manifest, Error> {
        if !is_name(name) {
            return Err(Error::NoBackup);
        }
        let found = self.store.get(&self.path(name, "manifest.json")).await;
        let found = found.map_err(|error| match error {
            object_store::Error::NotFound { .. } => Error::NoBackup,
            error => error.into(),
        })?;
        if found.meta.size > LARGEST_MANIFEST {
            return Err(Error::Manifest("it is too large".into()));
        }
        let text = found.bytes().await?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| Error::Manifest(error.to_string()))?;
        if manifest.format != Manifest::FORMAT {
            return Err(Error::Manifest(format!(
                "its format is {}",
                manifest.format
            )));
        }
        Ok(manifest)
    }

    /// Whatever has the form of a backup's name, oldest first; not each is one.
    async fn folders(&self) -> Result<Vec<String>, Error> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let found = self.store.list_with_delimiter(prefix).await?;
        let mut names: Vec<String> = found
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename())
            .filter(|name| is_name(name))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The newest backup.
    pub async fn newest(&self) -> Result<String, Error> {
        for name in self.folders().await?.into_iter().rev() {
            match self.manifest(&name).await {
                Ok(_) => return Ok(name),
                Err(Error::NoBackup) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NoBackup)
    }

    /// Removes all backups but the newest `keep`, at least one, and what was begun before those
    /// and never finished. Returns how many folders went.
    pub async fn prune(&self, keep: usize) -> Result<usize, Error> {
        let mut kept = 0;
        let mut gone = 0;
        for name in self.folders().await?.into_iter().rev() {
            if kept < keep.max(1) {
                // One that cannot be read is kept, and stands for none.
                match self.manifest(&name).await {
                    Ok(_) => kept += 1,
                    Err(Error::NoBackup | Error::Manifest(_)) => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            // The manifest first: what is half gone is not a backup any more.
            let path = self.path(&name, "manifest.json");
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let folder = self.prefix.clone().join(name.as_str());
            let files = self.store.list(Some(&folder));
            let files = files.map_ok(|file| file.location).boxed();
            let deleted = self.store.delete_stream(files);
            deleted.try_for_each(async |_path| Ok(())).await?;
            gone += 1;
            tracing::info!(name, "Removed an old backup");
        }
        Ok(gone)
    }

    /// Copies a file to a writer, if it is what was written; the writer's content is good only
    /// when this says so.
    pub(super) async fn read(
        &self,
        name: &str,
        written: &Written,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Error> {
        let io = |error| Error::Io("a copy of a file of the backup", error);
        let path = self.path(name, written.file.name());
        let mut chunks = self.store.get(&path).await?.into_stream();
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut bytes = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            bytes += chunk.len() as u64;
            if bytes > written.bytes {
                return Err(Error::Damaged(written.file.name()));
            }
            hash.update(&chunk);
            to.write_all(&chunk).await.map_err(io)?;
        }
        to.flush().await.map_err(io)?;
        if bytes == written.bytes && hexadecimal(hash) == written.sha256 {
            Ok(())
        } else {
            Err(Error::Damaged(written.file.name()))
        }
    }
}

fn hexadecimal(hash: digest::Context) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash.finish().as_ref() {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// A file that is being written.
pub(super) struct Sink {
    writer: BufWriter,
    file: File,
    hash: digest::Context,
    bytes: u64,
    /// How much there was when it was last told of.
    told: u64,
}

/// A line of progress each time that so much was written.
const TELL: u64 = 64 * 1024 * 1024;

impl Sink {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        if self.bytes - self.told >= TELL {
            self.told = self.bytes;
            let mebibytes = self.bytes / (1024 * 1024);
            tracing::info!(file = self.file.name(), mebibytes, "Writing a backup");
        }
        let written = self.writer.write_all(bytes).await;
        written.map_err(|error| Error::Io("a file of the backup", error))
    }

    /// Finishes the file and notes it, if what filled it went well; otherwise drops it.
    pub(super) async fn keep_if<T>(
        mut self,
        filled: Result<T, Error>,
        files: &mut Vec<Written>,
    ) -> Result<T, Error> {
        match filled {
            Ok(value) => {
                let finished = self.writer.shutdown().await;
                finished.map_err(|error| Error::Io("a file of the backup", error))?;
                files.push(Written {
                    file: self.file,
                    bytes: self.bytes,
                    sha256: hexadecimal(self.hash),
                });
                Ok(value)
            }
            Err(error) => {
                if let Err(error) = self.writer.abort().await {
                    tracing::debug!(%error, "An unfinished file could not be dropped");
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod s3;

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn archive() -> Archive {
        Archive::new(Arc::new(InMemory::new()), Path::from("a/b"))
    }

    fn manifest() -> Manifest {
        Manifest {
            format: Manifest::FORMAT,
            made: Timestamp::UNIX_EPOCH,
            postgresql: None,
            wal: None,
            keys: None,
            files: Vec::new(),
        }
    }

    async fn put(archive: &Archive, name: &str, is_finished: bool) {
        let mut sink = archive.create(name, File::Sessions);
        sink.write(b"x").await.unwrap();
        let mut manifest = manifest();
        sink.keep_if(Ok(()), &mut manifest.files).await.unwrap();
        if is_finished {
            archive.put_manifest(name, &manifest).await.unwrap();
        }
    }

    #[test]
    fn names_sort_by_time_and_are_known_again() {
        let now: Timestamp = "2026-11-22T01:41:36.5Z".parse().unwrap();
        assert_eq!(name(now), "20261122T014136500Z");
        assert!(is_name(&name(now)));
        for other in [
            "",
            "latest",
            "20261122T014136500",
            "20261122T014136500Z/",
            "../..T.........Z",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn places_are_folders_and_buckets() {
        let s3 = S3 {
            endpoint: Some("http://127.0.0.1:9000".parse().unwrap()),
            region: Some("eu-central-1".into()),
            access_key: Some(("id".into(), Confidential::new("hidden"))),
        };
        let bucket = Archive::open("s3://bucket/auth/backups", &s3).unwrap();
        assert_eq!(bucket.prefix.as_ref(), "auth/backups");
        assert!(!format!("{s3:?} {bucket:?}").contains("hidden"));
        for wrong in ["", "/var/backups", "file:", "gs://bucket", "s3:///"] {
            let opened = Archive::open(wrong, &s3);
            assert!(
                matches!(opened, Err(Error::Invalid(..))),
                "{wrong:?} {opened:?}"
            );
        }
    }

    #[tokio::test]
    async fn the_newest_are_kept_and_unfinished_ones_do_not_count() {
        let archive = archive();
        let names: Vec<String> = (1..=5)
            .map(|day| format!("2026010{day}T000000000Z"))
            .collect();
        for (name, is_finished) in names.iter().zip([true, false, true, true, false]) {
            put(&archive, name, is_finished).await;
        }
        put(&archive, "other", true).await;
        assert_eq!(archive.newest().await.unwrap(), names[3]);
        // The last is perhaps being written; the second never will be.
        assert_eq!(archive.prune(2).await.unwrap(), 2);
        assert_eq!(archive.folders().await.unwrap(), names[2..]);
        archive
            .store
            .head(&archive.path("other", "manifest.json"))
            .await
            .unwrap();
        assert_eq!(archive.prune(0).await.unwrap(), 1);
        assert_eq!(archive.newest().await.unwrap(), names[3]);
    }

    #[tokio::test]
    async fn what_was_not_finished_or_is_no_manifest_is_no_backup() {
        let archive = archive();
        let name = "20260101T000000000Z";
        assert!(matches!(archive.newest().await, Err(Error::NoBackup)));
        let sink = archive.create(name, File::Sessions);
        let failed: Result<(), _> = Err(Error::NoBackup);
        let mut files = Vec::new();
        sink.keep_if(failed, &mut files).await.unwrap_err();
        assert!(files.is_empty());
        assert!(matches!(archive.manifest(name).await, Err(Error::NoBackup)));
        let newer = Manifest {
            format: 2,
            ..manifest()
        };
        archive.put_manifest(name, &newer).await.unwrap();
        assert!(matches!(
            archive.manifest(name).await,
            Err(Error::Manifest(_))
        ));
        assert!(matches!(
            archive.manifest("../x").await,
            Err(Error::NoBackup)
        ));
    }

    #[tokio::test]
    async fn one_changed_byte_is_found() {
        let archive = archive();
        let name = "20260101T000000000Z";
        let mut sink = archive.create(name, File::Sessions);
        sink.write(b"some bytes").await.unwrap();
        let mut files = Vec::new();
        sink.keep_if(Ok(()), &mut files).await.unwrap();
        let mut read = Vec::new();
        archive.read(name, &files[0], &mut read).await.unwrap();
        assert_eq!(read, b"some bytes");
        for other in ["some bites", "some byte", "some bytes!"] {
            let path = archive.path(name, File::Sessions.name());
            archive.store.put(&path, other.into()).await.unwrap();
            let read = archive.read(name, &files[0], &mut Vec::new()).await;
            assert!(matches!(read, Err(Error::Damaged(_))), "{other}");
        }
    }
}
