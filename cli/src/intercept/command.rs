//! Programs of the operating system: started with a deadline, and explained when they fail.

use std::{io, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

/// A program that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) program: Program,
    /// Words with spaces between them; none of them has one itself.
    pub(super) arguments: String,
    pub(super) input: Option<String>,
}

/// Programs that speak to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Nft,
    Iptables(Tool),
    Ip6tables(Tool),
    Ip,
}

/// The two programs of iptables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Save,
    Restore,
}

/// Why a program did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error(
        "{program} was not found; install the package {package} (so called by Debian, Ubuntu, \
         Fedora and Alpine)"
    )]
    Missing {
        program: &'static str,
        package: &'static str,
    },
    #[error("{line} cannot be run")]
    Run {
        line: String,
        #[source]
        source: io::Error,
    },
    #[error("{line} did not end within {} s", DEADLINE.as_secs())]
    Late { line: String },
    #[error("{line} printed more than {LONGEST_OUTPUT} bytes")]
    TooLong { line: String },
    #[error("{line} failed: {said}")]
    Failed { line: String, said: String },
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Iptables(Tool::Save) => "iptables-save",
            Self::Iptables(Tool::Restore) => "iptables-restore",
            Self::Ip6tables(Tool::Save) => "ip6tables-save",
            Self::Ip6tables(Tool::Restore) => "ip6tables-restore",
            Self::Ip => "ip",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Nft => "nftables",
            Self::Iptables(_) | Self::Ip6tables(_) => "iptables",
            Self::Ip => "iproute2",
        }
    }
}

impl Invocation {
    /// Without input.
    pub(super) fn new(program: Program, arguments: impl Into<String>) -> Self {
        Self {
            program,
            arguments: arguments.into(),
            input: None,
        }
    }

    /// With what it reads from its standard input.
    pub(super) fn with_input(self, input: String) -> Self {
        Self {
            input: Some(input),
            ..self
        }
    }

    /// As a line of a shell, and what follows it.
    pub(super) fn as_script(&self) -> String {
        match &self.input {
            None => format!("{}\n", self.line()),
            Some(input) => format!("{} <<'{END}'\n{input}{END}\n", self.line()),
        }
    }

    fn line(&self) -> String {
        format!("{} {}", self.program.name(), self.arguments)
            .trim_end()
            .to_owned()
    }

    /// Runs it and gives what it printed.
    pub(super) async fn run(&self) -> Result<String, CommandError> {
        let child = self.start()?;
        let Ok(ended) = timeout(DEADLINE, self.finish(child)).await else {
            return Err(CommandError::Late { line: self.line() });
        };
        ended
    }

    /// Started where the system keeps such programs, also when the path of whoever asks leaves
    /// those folders out.
    fn start(&self) -> Result<Child, CommandError> {
        let name = self.program.name();
        for folder in FOLDERS {
            let mut command = Command::new(format!("{folder}{name}"));
            command
                .args(self.arguments.split_whitespace())
                .env("LC_ALL", "C")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true);
            match command.spawn() {
                Ok(child) => return Ok(child),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(self.not_run(source)),
            }
        }
        Err(CommandError::Missing {
            program: name,
            package: self.program.package(),
        })
    }

    async fn finish(&self, mut child: Child) -> Result<String, CommandError> {
        let input = self.input.clone().unwrap_or_default();
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // One that ends before it has read everything says itself why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ((), out, err) = tokio::join!(feed, read(stdout), read(stderr));
        let out = out.map_err(|source| self.not_run(source))?;
        let err = err.map_err(|source| self.not_run(source))?;
        if out.len() > LONGEST_OUTPUT {
            return Err(CommandError::TooLong { line: self.line() });
        }
        let status = child.wait().await;
        let status = status.map_err(|source| self.not_run(source))?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&out).into_owned());
        }
        let said = String::from_utf8_lossy(&err);
        let said: Vec<_> = said.lines().take(LINES_OF_ERROR).map(str::trim).collect();
        let said = match said.is_empty() {
            true => status.to_string(),
            false => said.join(" "),
        };
        Err(CommandError::Failed {
            line: self.line(),
            said,
        })
    }

    fn not_run(&self, source: io::Error) -> CommandError {
        CommandError::Run {
            line: self.line(),
            source,
        }
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let most = u64::try_from(LONGEST_OUTPUT).unwrap_or(u64::MAX);
        let mut pipe = pipe.take(most.saturating_add(1));
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

const FOLDERS: [&str; 3] = ["", "/usr/sbin/", "/sbin/"];
/// Longer than iptables waits for its lock.
const DEADLINE: Duration = Duration::from_secs(10);
/// In bytes.
const LONGEST_OUTPUT: usize = 4 << 20;
const LINES_OF_ERROR: usize = 3;
const END: &str = "END_OF_RULES";
