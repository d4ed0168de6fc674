//! From the command line to the exit code: the `main` of every binary, whether it serves or ends at once.

use std::env::ArgsOs;

use tokio::runtime::Builder;

use crate::config;
use crate::exit::Exit;

/// Parses the command line, runs the command and returns the exit code. [`config::report`] reports errors of the
/// command line or a variable. Any other error is printed to standard error in one line that starts with the binary's
/// name. So both appear even before logging has started.
pub fn main<C, F>(name: &str, read: impl FnOnce(ArgsOs) -> Result<C, clap::Error>, run: impl FnOnce(C) -> F) -> Exit
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    end(name, read(std::env::args_os()), run)
}

fn end<C, F>(name: &str, read: Result<C, clap::Error>, run: impl FnOnce(C) -> F) -> Exit
where
    F: Future<Output = anyhow::Result<Exit>>,
{
    let asked = match read {
        Ok(asked) => asked,
        Err(error) => return config::report(name, &error),
    };
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &error.into()),
    };
    // printed before the runtime is dropped, because that waits for blocking tasks
    runtime.block_on(run(asked)).unwrap_or_else(|error| failed(name, &error))
}

fn failed(name: &str, error: &anyhow::Error) -> Exit {
    eprintln!("{name}: {error:#}");
    Exit::of(error)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use anyhow::anyhow;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(clap::Parser)]
    #[command(name = "test", version)]
    struct Cli {
        #[arg(long)]
        number: u8,
    }

    fn read(args: &[&str]) -> Result<Cli, clap::Error> {
        clap::Parser::try_parse_from([&["test"], args].concat().into_iter().map(OsString::from))
    }

    async fn never(_: Cli) -> anyhow::Result<Exit> {
        panic!("nothing is begun")
    }

    /// R06: a wrong command line ends the process with 64 before anything is started; a request for help is answered.
    #[test]
    fn nothing_is_begun_with_a_bad_command_line() {
        for wrong in [[].as_slice(), &["--number", "many"], &["--number=1", "--other"], &["word"]] {
            assert_eq!(end("test", read(wrong), never), Exit::BadSettings, "{wrong:?}");
        }
        let refused = Cli::command().error(ErrorKind::ValueValidation, "found by the binary itself");
        assert_eq!(end("test", Err(refused), never), Exit::BadSettings);
        for asks in ["--help", "--version"] {
            assert_eq!(end("test", read(&[asks]), never), Exit::Well);
        }
    }

    /// R06: each kind of end has its code.
    #[test]
    fn each_end_has_its_code() {
        let ends = |run: fn() -> anyhow::Result<Exit>| end("test", read(&["--number=1"]), |_| async move { run() });
        assert_eq!(ends(|| Ok(().into())), Exit::Well);
        assert_eq!(ends(|| Ok(false.into())), Exit::Failed);
        assert_eq!(ends(|| Err(anyhow!("no"))), Exit::Failed);
        assert_eq!(ends(|| Err(Exit::BadKeys.because(anyhow!("no")))), Exit::BadKeys);
    }
}
