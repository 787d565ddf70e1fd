//! A gateway with an issuer and an upstream, and orders to its admin listener.

use serde_json::Value;

use crate::support::client::{Request, Response};
use crate::support::gateway::Gateway;
use crate::support::issuer::Issuer;
use crate::support::upstream::Upstream;

pub const ROUTE: &str = "[[routes]]\npath = \"/{*rest}\"\nupstream = \"api\"\n";

/// What stands around gateways.
pub struct World {
    pub issuer: Issuer,
    pub upstream: Upstream,
}

impl World {
    pub fn new() -> Self {
        Self { issuer: Issuer::start(), upstream: Upstream::echo() }
    }

    /// A configuration with these tables beside the usual ones.
    pub fn config(&self, tables: &str) -> String {
        [tables, &self.issuer.toml("acme"), &self.upstream.toml("api"), ROUTE].join("\n")
    }

    pub fn gateway(&self, tables: &str) -> Gateway {
        Gateway::start(&self.config(tables))
    }
}

/// Status and code of a request with this token, as `200` or `401 revoked`.
#[track_caller]
pub fn verdict(gateway: &Gateway, token: &str) -> String {
    let answer = gateway.call(&Request::get("/x").bearer(token));
    format!("{} {}", answer.status, answer.code()).trim_end().to_owned()
}

/// A request that gives an order.
pub fn order(order: &Value) -> Request {
    Request::new("POST", "/revocations")
        .host("localhost")
        .field("Content-Type", "application/json")
        .body(order.to_string().as_bytes())
}

/// Gives an order that must be taken; gives the entry.
#[track_caller]
pub fn revoke(gateway: &Gateway, what: &Value) -> Value {
    let answer = order(what).send(gateway.admin());
    assert_eq!(answer.status, 201, "{what}: {}{}", answer.text(), gateway.logs());
    answer.json()
}

/// Takes a revocation back.
#[track_caller]
pub fn take_back(gateway: &Gateway, id: &Value) -> Response {
    let id = id.as_str().expect("an id is a text");
    Request::new("DELETE", &format!("/revocations/{id}")).host("localhost").send(gateway.admin())
}

/// The entries that a gateway knows.
#[track_caller]
pub fn listed(gateway: &Gateway) -> Vec<Value> {
    let list = gateway.admin_page("/revocations").json();
    list["revocations"].as_array().expect("a list").clone()
}
