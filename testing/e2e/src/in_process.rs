//! Parts of a cluster that run in this process, each as its binary runs it. Each part has a runtime of its own, so it
//! can vanish like a killed process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Mutex;

use clap::{ArgAction, CommandFactory};
use kit::{DEADLINE, Program, Settings, Starter};
use process::config::Telemetry;
use process::telemetry::Guard;
use reqwest::StatusCode;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The log filter of a part whose log lines are kept: everything that `RUST_LOG` can ask for.
pub const EVERYTHING: &str = "trace";
/// The log lines of these parts, of all clusters in this process.
pub static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes log lines to [`LINES`].
struct Book;

impl std::io::Write for Book {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A part of the cluster.
pub struct Part {
    /// The address of its API, if it has one.
    pub listen: SocketAddr,
    /// The address of its health checks and metrics.
    pub ops: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    runtime: Option<Runtime>,
    /// Exports its traces until it is dropped.
    _traces: Option<Guard>,
}

impl Part {
    /// Returns the answer of its ops port to `/readyz`, `/livez` or `/metrics`.
    pub async fn health(&self, path: &str) -> (StatusCode, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.ops)).await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(mut self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, &mut self.task).await.expect("it stops in time").unwrap().unwrap();
    }

    /// Waits until it ends by itself, and returns its result.
    pub async fn end(mut self) -> anyhow::Result<()> {
        tokio::time::timeout(DEADLINE, &mut self.task).await.expect("it ends in time").unwrap()
    }

    /// Ends it as SIGKILL does: none of its tasks runs any more, and its sockets close without a message.
    pub fn vanish(self) {
        drop(self);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts parts in this process.
#[derive(Debug, Clone, Copy)]
pub struct InProcess;

/// Binds a free port.
fn listener() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The command line of a binary for those of the settings that its command has.
fn args<C: CommandFactory>(command: &str, settings: &Settings) -> Vec<OsString> {
    let cli = C::command();
    let name = cli.get_name().to_owned();
    let known = kit::settings::all(&cli).into_iter().filter(|setting| setting.command == [command]);
    let flags = known.filter_map(|setting| {
        let (value, long) = (settings.get(&setting.variable())?.to_owned(), setting.arg.get_long()?.to_owned());
        match setting.arg.get_action() {
            ArgAction::SetTrue => (value == "true").then(|| format!("--{long}")),
            _ => Some(format!("--{long}={value}")),
        }
    });
    [name, command.to_owned()].into_iter().chain(flags).map(OsString::from).collect()
}

impl Starter for InProcess {
    type Part = Part;

    fn start(&self, program: Program, _: &str, settings: &Settings) -> anyhow::Result<Part> {
        let ((tenants, listen), (health, ops)) = (listener(), listener());
        let mut settings = settings.with(&[("API_LISTEN", &listen.to_string()), ("OPS_LISTEN", &ops.to_string())]);
        if settings.get("WORKER_NAME").is_none() {
            settings.set("WORKER_NAME", format!("worker-{}", listen.port())); // they are all on one host
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let run = match program {
            Program::Api => {
                let cli = api::config::Cli::read(args::<api::config::Cli>("serve", &settings))?;
                let api::config::Command::Serve(config) = cli.command else { unreachable!() };
                Running::new(program, &config.telemetry.clone(), async move {
                    let listeners = api::Listeners {
                        tenants: TcpListener::from_std(tenants)?,
                        ops: TcpListener::from_std(health)?,
                    };
                    api::run(*config, listeners, stopped).await
                })
            }
            Program::Worker => {
                let cli = worker::Cli::read(args::<worker::Cli>("work", &settings))?;
                let worker::Command::Work(config) = cli.command else { unreachable!() };
                Running::new(program, &config.telemetry.clone(), async move {
                    let connector = worker::link::whatsapp::from_config(&config)?;
                    worker::run(*config, connector, TcpListener::from_std(health)?, stopped).await
                })
            }
            Program::Scheduler => {
                let cli = scheduler::Cli::read(args::<scheduler::Cli>("schedule", &settings))?;
                let scheduler::Command::Schedule(config) = cli.command else { unreachable!() };
                Running::new(program, &config.telemetry.clone(), async move {
                    scheduler::run(*config, TcpListener::from_std(health)?, stopped).await
                })
            }
            Program::Simulator => anyhow::bail!("the simulator is started by its own crate"),
        };
        Ok(Part { listen, ops, stop, task: run.task, runtime: Some(run.runtime), _traces: run.traces })
    }
}

/// A part on its runtime.
struct Running {
    task: JoinHandle<anyhow::Result<()>>,
    runtime: Runtime,
    traces: Option<Guard>,
}

impl Running {
    /// Runs a part. Its traces are separate too: each of its threads has a subscriber with the name of the part.
    fn new<F>(program: Program, telemetry: &Telemetry, run: F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let told = telemetry.otlp_endpoint.is_some() || telemetry.log == EVERYTHING;
        let traces = told.then(|| process::telemetry::dispatch_to(program.name(), telemetry, || Book).unwrap());
        let (subscriber, traces) = traces.unzip();
        let mut builder = Builder::new_multi_thread();
        if let Some(subscriber) = subscriber {
            builder.on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&subscriber)));
        }
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        Self { task: runtime.spawn(run), runtime, traces }
    }
}
