//! A private PostgreSQL, reached by a Unix socket in its folder, or at an address besides.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::process::{Folder, Running, free_port, output};

/// Where Debian's packages put each version, in a folder named by its number.
const VERSIONS: &str = "usr/lib/postgresql";

/// Who may do everything in the database.
const OWNER: &str = "muster";

/// The port that names the socket where nobody listens at an address.
const USUAL_PORT: u16 = 5432;

/// Where the programs of a PostgreSQL are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The system that they belong to; `/` for that of the machine.
    root: PathBuf,
    version: u32,
}

impl Installation {
    /// The newest one of the machine.
    pub fn newest() -> io::Result<Self> {
        Self::newest_in(Path::new("/"))
    }

    /// The newest one of a system in a folder.
    pub fn newest_in(root: &Path) -> io::Result<Self> {
        let folder = root.join(VERSIONS);
        let missing = || {
            let folder = folder.display();
            io::Error::other(format!(
                "there is no PostgreSQL in {folder}; run: apt-get install postgresql"
            ))
        };
        let entries = fs::read_dir(&folder).map_err(|_| missing())?;
        let versions = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse::<u32>().ok()?;
            // Clients are installed without the server, too.
            let has_server = entry.path().join("bin/postgres").is_file();
            has_server.then_some(version)
        });
        Ok(Self {
            root: root.to_owned(),
            version: versions.max().ok_or_else(missing)?,
        })
    }

    /// Its major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The folder of its programs, as its system sees it.
    pub fn programs(&self) -> PathBuf {
        let Self { version, .. } = self;
        PathBuf::from(format!("/{VERSIONS}/{version}/bin"))
    }

    /// One of its programs.
    fn program(&self, name: &str) -> Command {
        self.command(&self.programs().join(name))
    }

    /// A program of its system, as somebody who is not root: PostgreSQL insists.
    fn command(&self, program: &Path) -> Command {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("chroot");
            command
                .arg("--userspec=postgres:postgres")
                .arg(&self.root)
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/");
        command
    }
}

/// What a server is like that is not like all.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose programs run.
    pub installation: Installation,
    /// Settings of its own as `name=value`; the later one of two counts.
    pub settings: Vec<String>,
    /// Where it listens besides, at a port that is free.
    pub address: Option<IpAddr>,
}

impl Setup {
    /// A server of that installation, like all.
    pub fn of(installation: Installation) -> Self {
        Self {
            installation,
            settings: Vec::new(),
            address: None,
        }
    }
}

/// A database server with its own data.
pub struct Server {
    setup: Setup,
    port: u16,
    folder: Folder,
    running: Option<Running>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// One that runs, of the newest version that is installed.
    pub fn start() -> io::Result<Self> {
        Self::start_with(Setup::of(Installation::newest()?))
    }

    /// One that runs as it is told to.
    pub fn start_with(setup: Setup) -> io::Result<Self> {
        let installation = &setup.installation;
        if installation.root != Path::new("/") && !rustix::process::geteuid().is_root() {
            return Err(io::Error::other("a system in a folder is entered as root"));
        }
        let mut mktemp = installation.command(Path::new("/usr/bin/mktemp"));
        let folder = Folder::new(&mut mktemp, &installation.root)?;
        let mut server = Self {
            setup,
            port: USUAL_PORT,
            folder,
            running: None,
        };
        let mut initdb = server.setup.installation.program("initdb");
        output(
            initdb
                .arg("--pgdata")
                .arg(server.inside().join("data"))
                .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"])
                .args(["--username", OWNER]),
        )?;
        server.listen(server.setup.address)?;
        server.run()?;
        Ok(server)
    }

    /// Its folder as its own system sees it.
    fn inside(&self) -> PathBuf {
        let Folder { path } = &self.folder;
        let relative = path.strip_prefix(&self.setup.installation.root);
        Path::new("/").join(relative.unwrap_or(path))
    }

    /// The folder of its data, with its files of configuration.
    pub fn data(&self) -> PathBuf {
        self.folder.path.join("data")
    }

    /// Whose programs run.
    pub fn installation(&self) -> &Installation {
        &self.setup.installation
    }

    /// Where it listens from the next start on, beside its socket.
    pub fn listen(&mut self, address: Option<IpAddr>) -> io::Result<()> {
        self.port = address.map_or(Ok(USUAL_PORT), free_port)?;
        self.setup.address = address;
        Ok(())
    }

    /// Where it listens beside its socket.
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.setup.address?, self.port))
    }

    /// Starts the server, if it was stopped, on the data that it had.
    pub fn run(&mut self) -> io::Result<()> {
        let address = self.setup.address.map(|address| address.to_string());
        let mut command = self.setup.installation.program("postgres");
        command
            .arg("-D")
            .arg(self.inside().join("data"))
            .arg("-k")
            .arg(self.inside())
            .args(["-p", &self.port.to_string()])
            .arg("-c")
            .arg(format!("listen_addresses={}", address.unwrap_or_default()))
            // In a system of its own there is no /dev/shm.
            .args(["-c", "dynamic_shared_memory_type=mmap"])
            // The machine does not crash, only the server does.
            .args(["-c", "fsync=off"]);
        for setting in &self.setup.settings {
            command.args(["-c", setting]);
        }
        let ready = "database system is ready to accept connections";
        self.running = Some(Running::start(command, ready)?);
        Ok(())
    }

    /// Ends every process of the server at once (`kill -9`), and returns when they are gone.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Stands still with its connections open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            running.signal(signal);
        }
    }

    /// Its first process, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Running::id)
    }

    /// The address of a database by the socket, for its owner.
    pub fn url(&self, database: &str) -> String {
        self.url_in(&self.folder.path, database)
    }

    fn url_in(&self, folder: &Path, database: &str) -> String {
        let (port, folder) = (self.port, folder.display());
        format!("postgres://{OWNER}@localhost:{port}/{database}?host={folder}")
    }

    /// Does something in a database, all of it or nothing.
    pub fn execute(&self, database: &str, sql: &str) -> io::Result<()> {
        let mut child = self
            .setup
            .installation
            .program("psql")
            .args(["--no-psqlrc", "--quiet", "--single-transaction"])
            .args(["--set=ON_ERROR_STOP=1", "--file=-"])
            .arg(self.url_in(&self.inside(), database))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // It ends early when it does not understand something, and says what.
            input.write_all(sql.as_bytes()).ok();
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("psql failed: {said}")))
    }

    /// Gives its owner a password, and lets clients in by TCP as the line of `pg_hba.conf` says.
    pub fn admit(&self, rule: &str, password: &str) -> io::Result<()> {
        let password = password.replace('\'', "''");
        self.execute(
            "postgres",
            &format!("ALTER USER {OWNER} PASSWORD '{password}'"),
        )?;
        let rules = format!("local all all trust\n{rule}\n");
        fs::write(self.data().join("pg_hba.conf"), rules)?;
        self.execute("postgres", "SELECT pg_reload_conf()")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, but not without freeing the shared memory, which a crash leaves behind.
        if let Some(running) = self.running.take() {
            running.end(Signal::QUIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with versions of which some have no server.
    fn system() -> Folder {
        let system = Folder::new(&mut Command::new("mktemp"), Path::new("/")).unwrap();
        for (version, program) in [("9", "postgres"), ("15", "postgres"), ("16", "psql")] {
            let programs = system.path.join(VERSIONS).join(version).join("bin");
            fs::create_dir_all(&programs).unwrap();
            fs::write(programs.join(program), "").unwrap();
        }
        fs::create_dir(system.path.join(VERSIONS).join("common")).unwrap();
        system
    }

    #[test]
    fn the_newest_version_that_has_a_server_is_found() {
        let system = system();
        let found = Installation::newest_in(&system.path).unwrap();
        assert_eq!(found.version(), 15);
        assert_eq!(found.programs(), Path::new("/usr/lib/postgresql/15/bin"));
        let nowhere = Installation::newest_in(&system.path.join("nowhere"));
        let error = nowhere.unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql"), "{error}");
    }

    #[test]
    fn what_was_written_outlives_a_crash_and_nothing_outlives_the_server() {
        let mut server = Server::start().unwrap();
        let sql = "CREATE TABLE kept (number int UNIQUE); INSERT INTO kept VALUES (1)";
        server.execute("postgres", sql).unwrap();
        server.kill();
        assert_eq!(server.id(), None);
        server.run().unwrap();
        let again = server.execute("postgres", "INSERT INTO kept VALUES (2), (1)");
        let error = again.unwrap_err().to_string();
        assert!(error.contains("duplicate key"), "{error}");
        server
            .execute("postgres", "INSERT INTO kept VALUES (2)")
            .unwrap();
        let (folder, id) = (server.folder.path.clone(), server.id().unwrap());
        server.pause();
        drop(server);
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_setting_that_is_none_is_told() {
        let setup = Setup {
            settings: vec!["no_such_setting=1".to_owned()],
            ..Setup::of(Installation::newest().unwrap())
        };
        let error = Server::start_with(setup).unwrap_err().to_string();
        assert!(error.contains("no_such_setting"), "{error}");
    }
}
