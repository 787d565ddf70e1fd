//! A small API to stand behind the gateway in a demonstration: orders, a public page, events, a WebSocket echo, `/whoami`,
//! which shows what an upstream learns of the caller, and `/account`, which is the same for people with a browser.
//!
//! It judges nothing. Who called is what `X-Auth-Subject` says, which only the gateway can be trusted to set; that is
//! why it listens on loopback.

mod echo;
mod events;
mod frames;
mod orders;
mod reply;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use self::events::Events;
use self::orders::Orders;
use self::reply::Reply;
use crate::server::plain::{self, Stop};

const PUBLIC_PAGE: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Sample API</title>\n\
    <h1>A public page</h1>\n<p>Everybody may read this; the gateway asked for no token.</p>\n</html>\n";

/// What a person sees who is logged in.
const ACCOUNT_PAGE: &str = include_str!("sample_api/account.html");

/// What `/` lists.
const ENDPOINTS: &[(&str, &str)] = &[
    ("GET /orders", "the orders"),
    ("GET /orders/{id}", "one order"),
    ("POST /orders", "a new order: {\"item\": \"tea\", \"quantity\": 2}"),
    ("GET /public", "a page for everybody"),
    ("GET /events?count=N", "server-sent events, one every half second"),
    ("GET /echo", "a WebSocket that sends back what it gets"),
    ("GET /whoami", "what the gateway says of the caller"),
    ("GET /account", "the same as a page for the person"),
];

/// A sample API that holds its address and is about to serve.
#[derive(Debug)]
pub struct SampleApi {
    listener: TcpListener,
    address: SocketAddr,
}

impl SampleApi {
    /// Takes `address`; port 0 lets the system choose. Needs no runtime yet.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes; event streams and WebSockets end then, too. Needs a tokio runtime with I/O
    /// and time; one thread is enough.
    ///
    /// # Errors
    /// When the listener cannot be handed to the runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let orders = Arc::new(Orders::seeded());
        plain::serve(
            self.listener,
            move |request, stop| {
                let orders = Arc::clone(&orders);
                async move { route(&orders, request, stop).await }
            },
            shutdown,
        )
        .await
    }
}

async fn route(orders: &Orders, request: Request<Incoming>, stop: Stop) -> Reply {
    let path = request.uri().path();
    match path {
        "/orders" => return orders.collection(request).await,
        "/echo" => return echo::handle(request, stop),
        _ => {}
    }
    if let Some(id) = path.strip_prefix("/orders/") {
        return orders.one(&request, id);
    }
    let page: fn(&Request<Incoming>, Stop) -> Reply = match path {
        "/" => |_, _| json_index(),
        "/public" => |_, _| reply::html(PUBLIC_PAGE),
        "/events" => event_stream,
        "/whoami" => |request, _| whoami(request.headers()),
        "/account" => |request, _| account(request.headers()),
        _ => return reply::problem(StatusCode::NOT_FOUND, "there is nothing here; / lists what there is"),
    };
    match *request.method() {
        Method::GET | Method::HEAD => page(&request, stop),
        _ => reply::method_not_allowed("GET, HEAD"),
    }
}

fn json_index() -> Reply {
    let endpoints: Map<_, _> = ENDPOINTS.iter().map(|(what, is)| ((*what).to_owned(), json!(is))).collect();
    reply::json(StatusCode::OK, &json!({ "sample_api": endpoints }))
}

fn event_stream(request: &Request<Incoming>, stop: Stop) -> Reply {
    let count = request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("count=")));
    match count.map(str::parse).transpose() {
        Ok(count) => reply::events(Events::new(count, stop)),
        Err(_) => reply::problem(StatusCode::BAD_REQUEST, "count must be a number"),
    }
}

/// Everything that the gateway says of the caller, and nothing that could be a credential.
fn whoami(headers: &HeaderMap) -> Reply {
    let mut told = Map::new();
    for (name, value) in headers {
        let name = name.as_str();
        if name.starts_with("x-auth-") || name.starts_with("x-forwarded-") || name == "forwarded" {
            let values = told.entry(name).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(json!(String::from_utf8_lossy(value.as_bytes())));
            }
        }
    }
    reply::json(StatusCode::OK, &json!({ "caller": caller(headers), "headers": told }))
}

/// The same for a person.
fn account(headers: &HeaderMap) -> Reply {
    let told = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-auth-"));
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&String::from_utf8_lossy(value.as_bytes())))
    };
    let told: String = told.map(line).collect();
    let who = caller(headers).unwrap_or_else(|| "nobody that the gateway knows".to_owned());
    // From the end to the beginning, so that nothing of what is told is taken for a place to fill in.
    reply::html(&ACCOUNT_PAGE.replacen("{told}", &told, 1).replacen("{who}", &escape(&who), 1))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The subject that the gateway set; absent on routes without a token.
fn caller(headers: &HeaderMap) -> Option<String> {
    headers.get("x-auth-subject").map(|subject| String::from_utf8_lossy(subject.as_bytes()).into_owned())
}
