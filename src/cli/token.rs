//! `tollgate token`: the client's side of OAuth 2.0, towards any Authorization Server.
//!
//! Promises that standard output holds the token and nothing else (with `--json`: the whole answer), so that it can be
//! substituted into another command. Everything that a person reads goes to standard error, and all text that a server
//! or a browser sent is escaped before it gets there. Secrets come from files, the environment or a prompt, never from
//! the command line. Refuses plain http beyond this machine, an issuer that names itself differently, an answer to a
//! question that was not asked (`state`, `iss`, `nonce`), and tokens that no header could carry.

mod answer;
mod args;
mod browser;
mod callback;
mod decode;
mod discovery;
mod endpoint;
mod failure;
mod flows;
mod hint;
mod id_token;
mod input;
mod page;
mod prompt;
mod shown;

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::clock::{Clock, SystemClock};
use crate::fetch::{Fetch, HttpFetch};
use crate::observe::chain;

use super::{Outcome, complain, run_here, say};

pub(super) use args::Args;
pub(super) use browser::OPENER;

use answer::Answer;
use args::Order;
use endpoint::Server;
use failure::Failure;

pub(super) fn run(args: &Args) -> Outcome {
    match order_and_get(args) {
        Ok(outcome) => outcome,
        Err(failure) => {
            complain(&failure);
            // A program that reads the answer reads a refusal as well.
            if let (Failure::Refused(refusal), true) = (&failure, args.json) {
                let _ = say(&shown::json(&refusal.answer.clone().into()));
            }
            failure.outcome()
        }
    }
}

fn order_and_get(args: &Args) -> Result<Outcome, Failure> {
    let order = args.order()?;
    let fetch: Arc<dyn Fetch> = match &order.ca_file {
        None => Arc::new(HttpFetch::with_system_roots()),
        Some(path) => Arc::new(HttpFetch::with_ca_file(path).map_err(|error| Failure::usage(chain(&error)))?),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let got = run_here(async {
        tokio::select! {
            got = get(&order, fetch, &clock) => got,
            interrupted = interrupted() => Err(interrupted),
        }
    });
    let answer = got.map_err(Failure::fault)??;
    Ok(hand_out(args, &answer, &*clock))
}

/// Discovery, then the flow.
async fn get(order: &Order, fetch: Arc<dyn Fetch>, clock: &Arc<dyn Clock>) -> Result<Answer, Failure> {
    let metadata = discovery::discover(&*fetch, &order.issuer, order.timeout).await?;
    let server = Server { metadata, fetch, client: &order.client, timeout: order.timeout, clock: Arc::clone(clock) };
    flows::run(order, &server).await.map_err(|failure| failure.with_hint(|refusal| hint::of(refusal, order, &server)))
}

/// Completes on the first signal that asks this process to end. What the flow holds, such as a terminal without echo,
/// is given back because its future is dropped.
async fn interrupted() -> Failure {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => (),
        () = terminated => (),
    }
    Failure::fault("interrupted")
}

fn hand_out(args: &Args, answer: &Answer, clock: &dyn Clock) -> Outcome {
    answer.notes.iter().for_each(|note| complain(format_args!("note: {note}")));
    match (args.json, args.decode) {
        (false, false) => say(&format!("{}\n", answer.access_token())),
        (false, true) => {
            complain(decode::tell(answer, clock.now()));
            say(&format!("{}\n", answer.access_token()))
        }
        (true, false) => say(&shown::json(&answer.members.clone().into())),
        (true, true) => say(&shown::json(&decode::beside(answer))),
    }
}
