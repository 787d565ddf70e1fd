//! Why there is no token, told so that its reader knows what to do next.

use std::fmt;

use serde_json::{Map, Value};

use crate::cli::Outcome;
use crate::fetch::{Fault, FetchError};

use super::shown::shown;

/// Why there is no token. `Display` is what standard error shows.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line, or a file that it names, is wrong.
    Usage(Message),
    /// The Authorization Server said no.
    Refused(Box<Refusal>),
    /// No HTTP answer came.
    Unanswered(Message),
    /// An answer came that cannot be trusted or understood, or this machine is in the way.
    Fault(Message),
}

/// What happened, and perhaps what helps.
#[derive(Debug)]
pub(super) struct Message {
    what: String,
    help: Option<String>,
}

/// An error answer (RFC 6749, sections 4.1.2.1 and 5.2).
#[derive(Debug)]
pub(super) struct Refusal {
    /// Who said it: `the token endpoint`.
    pub(super) by: &'static str,
    /// `error`
    pub(super) code: String,
    /// All members of the answer.
    pub(super) answer: Map<String, Value>,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self::Usage(Message { what: what.into(), help: None })
    }

    pub(super) fn fault(what: impl Into<String>) -> Self {
        Self::Fault(Message { what: what.into(), help: None })
    }

    /// A fetch that gave nothing.
    pub(super) fn unanswered(error: &FetchError) -> Self {
        Self::Unanswered(Message { what: error.to_string(), help: way_out(&error.fault).map(str::to_owned) })
    }

    /// An answer with the member or parameter `error`.
    pub(super) fn refused(by: &'static str, code: &str, answer: Map<String, Value>) -> Self {
        Self::Refused(Box::new(Refusal { by, code: code.to_owned(), answer, hint: None }))
    }

    /// The same with a way out. A refusal gets its own by [`Failure::with_hint`].
    pub(super) fn help(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Usage(message) | Self::Unanswered(message) | Self::Fault(message) => message.help = Some(text.into()),
            Self::Refused(refusal) => refusal.hint = Some(text.into()),
        }
        self
    }

    /// The same; a refusal with what `hint` has to say about it.
    pub(super) fn with_hint(mut self, hint: impl FnOnce(&Refusal) -> Option<String>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.hint = hint(refusal);
        }
        self
    }

    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Usage(_) => Outcome::Misconfigured,
            Self::Refused(_) => Outcome::Denied,
            Self::Unanswered(_) | Self::Fault(_) => Outcome::Faulty,
        }
    }
}

/// What to look at when no answer came.
const fn way_out(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Resolve(_) | Fault::Connect(_) => {
            Some("is the server running, and can this machine reach that address?")
        }
        Fault::NoRoots => Some("--ca-file FILE names the certificate authorities to trust"),
        Fault::Tls(_) => Some(
            "--ca-file FILE trusts a certificate authority of your own; a server without TLS has an http:// address",
        ),
        Fault::Redirect { .. } => Some("use the address that it leads to, if that is the server you mean"),
        Fault::Exchange(_) => Some("is it an https server that was asked by http, or no web server at all?"),
        Fault::Timeout { .. } => Some("--timeout SECONDS gives each answer more time"),
        Fault::Url(_) | Fault::Encoded | Fault::Body(_) | Fault::TooLarge { .. } => None,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Unanswered(message) | Self::Fault(message) => {
                write!(f, "error: {}", message.what)?;
                help(f, message.help.as_deref())
            }
            Self::Refused(refusal) => {
                write!(f, "error: {} refused: {}", refusal.by, shown(&refusal.code))?;
                for (member, label) in [("error_description", "it says:"), ("error_uri", "see also:")] {
                    if let Some(text) = refusal.answer.get(member).and_then(Value::as_str) {
                        write!(f, "\n  {label} {}", shown(text))?;
                    }
                }
                help(f, refusal.hint.as_deref())
            }
        }
    }
}

fn help(f: &mut fmt::Formatter<'_>, text: Option<&str>) -> fmt::Result {
    text.map_or(Ok(()), |text| write!(f, "\nhelp: {text}"))
}
