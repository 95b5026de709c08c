//! The binary as a command: where it is, and one run of it from start to end.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Server;
use crate::admin::without_secrets;
use crate::wait::within;

/// The binary under test: `RINGBACK_BIN`, else the one that cargo built beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("RINGBACK_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the path of this test");
    let path = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps").join("ringback");
    assert!(
        path.is_file(),
        "there is no {}: build it first (cargo build -p ringback), or run ./scripts/test, or name one in RINGBACK_BIN",
        path.display()
    );
    path
}

/// A command of the binary, ignorant of the `RINGBACK_*` variables that surround the tests.
pub fn ringback() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RINGBACK_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// How a run ended and what it said.
#[derive(Clone, Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the binary to its end, for at most [`crate::wait::PATIENCE`].
pub async fn run<const N: usize>(args: [&str; N]) -> Ended {
    let mut command = ringback();
    command.args(args);
    finish(command).await
}

/// Runs a command about this server, such as `callbacks status`. Whatever it is, it shows no secret of the server's.
pub async fn of_server(server: &Server, words: &[&str]) -> Ended {
    let mut command = ringback();
    command.args(words).arg("--server").arg(format!("http://{}", server.http()));
    command.arg("--config").arg(server.config_file()).arg("--data-dir").arg(server.data_dir());
    let ended = finish(command).await;
    without_secrets(&words.join(" "), &format!("{}{}", ended.out, ended.err), &server.secrets());
    ended
}

pub async fn finish(command: Command) -> Ended {
    let name = format!("{command:?} to end");
    let mut command = tokio::process::Command::from(command);
    let output = within(&name, command.kill_on_drop(true).output()).await.expect("the binary starts");
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
