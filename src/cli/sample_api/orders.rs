//! `/orders`: a list that can be read and added to, held in memory and bounded.

use std::sync::{Mutex, PoisonError};

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller;
use super::reply::{Reply, json, method_not_allowed, problem};
use crate::server::plain::{BodyFault, read_body};

/// Bytes of one order.
const MAX_BODY: usize = 16 * 1024;
/// Orders held; a new one beyond that is refused.
const MAX_ORDERS: usize = 1000;

/// The orders of this process.
#[derive(Debug)]
pub(super) struct Orders(Mutex<Vec<Order>>);

#[derive(Debug, Clone, Serialize)]
struct Order {
    id: usize,
    item: String,
    quantity: u32,
    /// Who placed it, as the gateway said.
    placed_by: Option<String>,
}

/// What a caller sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    item: String,
    #[serde(default = "one")]
    quantity: u32,
}

const fn one() -> u32 {
    1
}

impl Orders {
    /// A shop that has seen some business.
    pub(super) fn seeded() -> Self {
        let seed = [("tea", 2), ("looking glass", 1), ("playing cards", 52)];
        let order = |(n, (item, quantity)): (usize, (&str, u32))| Order {
            id: n + 1,
            item: item.to_owned(),
            quantity,
            placed_by: None,
        };
        Self(Mutex::new(seed.into_iter().enumerate().map(order).collect()))
    }

    /// `/orders`
    pub(super) async fn collection(&self, request: Request<Incoming>) -> Reply {
        match *request.method() {
            Method::GET | Method::HEAD => self.list(request.headers()),
            Method::POST => self.create(request).await,
            _ => method_not_allowed("GET, HEAD, POST"),
        }
    }

    /// `/orders/{id}`
    pub(super) fn one(&self, request: &Request<Incoming>, id: &str) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return method_not_allowed("GET, HEAD");
        }
        let found = id.parse().ok().and_then(|id: usize| self.held(|orders| orders.get(id.wrapping_sub(1)).cloned()));
        match found {
            Some(order) => json(StatusCode::OK, &json!({ "caller": caller(request.headers()), "order": order })),
            None => problem(StatusCode::NOT_FOUND, "there is no such order"),
        }
    }

    fn list(&self, headers: &HeaderMap) -> Reply {
        let orders = self.held(|orders| json!(orders));
        json(StatusCode::OK, &json!({ "caller": caller(headers), "orders": orders }))
    }

    async fn create(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        if !is_json(&head.headers) {
            return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
        }
        let body = match read_body(body, MAX_BODY).await {
            Ok(body) => body,
            Err(fault @ BodyFault::TooLarge) => return problem(StatusCode::PAYLOAD_TOO_LARGE, &fault.to_string()),
            Err(fault @ BodyFault::Slow) => return problem(StatusCode::REQUEST_TIMEOUT, &fault.to_string()),
            Err(fault @ BodyFault::Broken) => return problem(StatusCode::BAD_REQUEST, &fault.to_string()),
        };
        match serde_json::from_slice(&body) {
            Ok(new) => self.place(new, caller(&head.headers)),
            Err(error) => problem(StatusCode::BAD_REQUEST, &format!("not an order: {error}")),
        }
    }

    fn place(&self, new: NewOrder, placed_by: Option<String>) -> Reply {
        let placed = self.held(|orders| {
            let order = Order { id: orders.len() + 1, item: new.item, quantity: new.quantity, placed_by };
            (orders.len() < MAX_ORDERS).then(|| {
                orders.push(order.clone());
                order
            })
        });
        let Some(order) = placed else {
            return problem(StatusCode::INSUFFICIENT_STORAGE, "there is no room for more orders");
        };
        let mut reply = json(StatusCode::CREATED, &json!(order));
        if let Ok(location) = HeaderValue::try_from(format!("/orders/{}", order.id)) {
            reply.headers_mut().insert(LOCATION, location);
        }
        reply
    }

    /// A list of orders is whole after every step, so a panic elsewhere does not spoil it.
    fn held<T>(&self, look: impl FnOnce(&mut Vec<Order>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
