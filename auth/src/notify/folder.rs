//! Mails that go to files: for the embedded mode, which has no mail server.
//!
//! The log says where a mail is and never what it says. The newest mails are kept, the others
//! removed.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{Deliver, Mail, Undelivered};

/// How many mails are kept.
const KEPT: usize = 100;

/// A folder of mails.
#[derive(Debug)]
pub struct Folder {
    directory: PathBuf,
    /// Distinguishes mails of one moment.
    count: AtomicU64,
}

impl Folder {
    /// Mails go to this directory, which is made when it is needed.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            count: AtomicU64::new(0),
        }
    }

    fn write(&self, mail: &Mail) -> std::io::Result<PathBuf> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let now = runtime::clock::now();
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        // Names in order of time, also from one process to the next.
        let name = format!("{:020}-{number:06}.eml", now.as_microsecond());
        let path = self.directory.join(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        write!(
            file,
            "To: {}\nSubject: {}\nDate: {now}\n\n{}",
            mail.to, mail.subject, mail.text
        )?;
        self.remove_old()?;
        Ok(path)
    }

    fn remove_old(&self) -> std::io::Result<()> {
        let mut mails: Vec<PathBuf> = std::fs::read_dir(&self.directory)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        mails.sort();
        let surplus = mails.len().saturating_sub(KEPT);
        mails
            .iter()
            .take(surplus)
            .try_for_each(std::fs::remove_file)
    }
}

#[async_trait]
impl Deliver<Mail> for Folder {
    async fn deliver(&self, mail: &Mail) -> Result<(), Undelivered> {
        match self.write(mail) {
            Ok(path) => {
                tracing::info!(path = %path.display(), "Wrote a mail to a file: there is no mail server");
                Ok(())
            }
            Err(error) => Err(Undelivered::Temporary(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[tokio::test]
    async fn the_newest_mails_are_files_for_their_owner_alone() {
        let directory = std::env::temp_dir().join(format!("muster-folder-{}", std::process::id()));
        std::fs::remove_dir_all(&directory).ok();
        let folder = Folder::new(directory.join("mail"));
        for number in 0..KEPT + 3 {
            let mail = Mail {
                to: "ann@example.com".to_owned(),
                subject: "Hello".to_owned(),
                text: format!("mail {number}\n"),
            };
            folder.deliver(&mail).await.unwrap();
        }
        let mut mails: Vec<_> = std::fs::read_dir(directory.join("mail"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        mails.sort();
        assert_eq!(mails.len(), KEPT);
        let newest = std::fs::read_to_string(mails.last().unwrap()).unwrap();
        assert!(
            newest.starts_with("To: ann@example.com\nSubject: Hello\nDate: "),
            "{newest}"
        );
        assert!(
            newest.ends_with(&format!("\n\nmail {}\n", KEPT + 2)),
            "{newest}"
        );
        let mode = std::fs::metadata(mails.last().unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
