//! How a request ends: what the exchange is told of it, and what the client gets when there is no response to pass on.

use bytes::Bytes;
use http::Response;

use crate::observe::chain;
use crate::observe::exchange::Exchange;
use crate::policy::Denial;
use crate::proxy::{BodyError, Fault, FaultKind, ResponseBody, Watch};

use super::page::Pages;
use super::respond::{self, Broken, Challenge, Form};

/// A response body whose end is the end of its exchange.
pub type Body = ResponseBody<Observer>;

/// Tells an exchange what becomes of its response; nobody, when the exchange lasts longer than it.
pub struct Observer(pub(super) Option<Exchange>);

impl Watch for Observer {
    fn sent(&mut self, bytes: usize) {
        if let Some(exchange) = &self.0 {
            exchange.add_bytes_out(bytes as u64);
        }
    }

    fn ended(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.finish();
        }
    }

    fn failed(&mut self, error: &BodyError) {
        if let Some(exchange) = &self.0 {
            exchange.fault(Broken::Protocol.code(), || chain(error));
        }
    }
}

/// Why a request got no response of an upstream's.
pub(super) enum Refusal {
    Denied(Denial, Challenge),
    Broken(Broken),
}

impl Refusal {
    pub(super) fn into_response(self, form: Form, pages: &Pages) -> Response<Bytes> {
        match self {
            Self::Denied(denial, challenge) => respond::denial(&denial, &challenge, form, pages),
            Self::Broken(broken) => respond::fault(broken, form, pages),
        }
    }
}

/// Notes a denial in the exchange.
pub(super) fn refused(exchange: &Exchange, denial: Denial, challenge: Challenge) -> Refusal {
    exchange.denied(denial.code(), || denial.detail());
    Refusal::Denied(denial, challenge)
}

/// Notes a fault in the exchange, and sorts it: the upstream's is a fault, the client's a denial.
pub(super) fn broken(exchange: &Exchange, fault: &Fault) -> Refusal {
    let of_upstream = |broken: Broken| {
        exchange.fault(broken.code(), || chain(fault));
        Refusal::Broken(broken)
    };
    let of_client = |denial: Denial| {
        exchange.denied(denial.code(), || chain(fault));
        Refusal::Denied(denial, Challenge::default())
    };
    match fault.kind {
        FaultKind::Unreachable => of_upstream(Broken::Unreachable),
        FaultKind::Timeout => of_upstream(Broken::Timeout),
        FaultKind::Protocol => of_upstream(Broken::Protocol),
        FaultKind::BodyTooLarge => of_client(Denial::BodyTooLarge),
        FaultKind::ClientGone | FaultKind::ClientStalled => {
            of_client(Denial::BadRequest { detail: "The request body did not come to its end." })
        }
        FaultKind::Unforwardable => of_client(Denial::BadRequest { detail: "The request cannot be forwarded." }),
    }
}

/// A response that we make ourselves.
pub(super) fn finish(exchange: Exchange, response: Response<Bytes>) -> Response<Body> {
    exchange.status(response.status());
    response.map(|body| ResponseBody::full(body, Observer(Some(exchange))))
}
