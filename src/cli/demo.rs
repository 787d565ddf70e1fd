//! `tollgate demo`: the authority, the sample API and the gateway in one process, and a tour of them.

mod browser;
mod step;
mod steps;
mod tour;
mod wire;

use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::app::{self, Running, StartError, run_until_signalled};
use crate::config;
use crate::observe::chain;
use crate::observe::diagnostics::{DiagnosticsForm, init_diagnostics};

use super::sample_api::SampleApi;
use super::{Outcome, complain, say};

use tour::Tour;

/// The config that the demo runs, and that a newcomer reads first.
const CONFIG: &str = include_str!("../../config/demo.toml");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run the commands on free ports, show request and verdict of each, and end
    #[arg(long)]
    once: bool,
    /// Print the config that the demo runs, and end
    #[arg(long, conflicts_with = "once")]
    print_config: bool,
}

/// Where the parts listen.
#[derive(Debug, Clone, Copy)]
struct Places {
    gateway: SocketAddr,
    authority: SocketAddr,
    sample: SocketAddr,
    admin: SocketAddr,
}

impl Places {
    /// As the config has them.
    fn usual() -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { gateway: at(8080), authority: at(9000), sample: at(9001), admin: at(9090) }
    }

    /// Four ports that were free a moment ago.
    fn free() -> io::Result<Self> {
        // All are held at once, so that they differ.
        let held: Vec<TcpListener> =
            (0..4).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
        let at = |which: usize| held[which].local_addr();
        Ok(Self { gateway: at(0)?, authority: at(1)?, sample: at(2)?, admin: at(3)? })
    }

    /// The config with these places in it.
    fn config(&self) -> String {
        let usual = Self::usual();
        let moves = [
            (usual.gateway, self.gateway),
            (usual.authority, self.authority),
            (usual.sample, self.sample),
            (usual.admin, self.admin),
        ];
        // In two rounds, since a free port may be another's usual one.
        let marked = moves.iter().enumerate().fold(CONFIG.to_owned(), |text, (mark, (from, _))| {
            text.replace(&from.to_string(), &format!("\u{0}{mark}\u{0}"))
        });
        moves
            .iter()
            .enumerate()
            .fold(marked, |text, (mark, (_, to))| text.replace(&format!("\u{0}{mark}\u{0}"), &to.to_string()))
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.print_config {
        return say(CONFIG);
    }
    match demo(args.once) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn demo(once: bool) -> Result<Outcome, Outcome> {
    let places = if once { Places::free().map_err(|error| faulty(&error))? } else { Places::usual() };
    let form = if io::stderr().is_terminal() { DiagnosticsForm::Pretty } else { DiagnosticsForm::Json };
    // Without the log of diagnostics the demo still runs. What the authority warns of, the introduction says.
    let _ = init_diagnostics("warn,tollgate::authority=error", form);
    let tour = Tour::of(places);
    let parts = Parts::start(&places, once).map_err(|error| faulty(&error))?;
    if once {
        let passed = tour.walk();
        parts.stop();
        return Ok(if passed { Outcome::Fine } else { Outcome::Faulty });
    }
    say(&tour.introduction());
    parts.run_until_signalled().map_err(|error| faulty(&error))?;
    Ok(Outcome::Fine)
}

fn faulty(error: &dyn std::error::Error) -> Outcome {
    complain(format_args!("error: {}", chain(error)));
    if chain(error).contains("in use") {
        complain("help: the demo needs the ports 8080, 9000, 9001 and 9090 of 127.0.0.1; is another one running?");
    }
    Outcome::Faulty
}

/// Everything that runs.
struct Parts {
    gateway: Running,
    runtime: Runtime,
    stop_sample: oneshot::Sender<()>,
}

impl Parts {
    fn start(places: &Places, quiet: bool) -> Result<Self, StartError> {
        let sample = SampleApi::bind(places.sample).map_err(|source| StartError::Listen {
            what: "the sample API",
            address: places.sample,
            source,
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sample-api")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let (stop_sample, stopped) = oneshot::channel::<()>();
        runtime.spawn(sample.serve(async {
            // An error says that the demo is gone, which is an end as well.
            let _ = stopped.await;
        }));
        let system = config::System::of("config/demo.toml".as_ref());
        let loaded = config::parse(&places.config(), "demo.toml", &system).expect("tests hold the demo's config valid");
        let out: Box<dyn io::Write + Send> = if quiet { Box::new(io::sink()) } else { Box::new(io::stdout()) };
        let gateway = app::start(loaded.config, out)?;
        Ok(Self { gateway, runtime, stop_sample })
    }

    fn run_until_signalled(self) -> io::Result<()> {
        let outcome = run_until_signalled(self.gateway, None, None);
        // The receiver may have ended by itself.
        let _ = self.stop_sample.send(());
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        outcome
    }

    fn stop(self) {
        let _ = self.stop_sample.send(());
        self.gateway.stop();
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    }
}
