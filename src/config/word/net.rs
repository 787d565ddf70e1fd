//! Addresses to listen on, and networks of peers.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use crate::config::diagnostic::Code;
use crate::config::read::{Refusal, Text};

/// An IP address and a port to listen on.
#[derive(Debug, Clone, Copy)]
pub struct Listen(pub SocketAddr);

impl Text for Listen {
    const EXPECTED: &'static str = "a text with an address and a port, such as \"127.0.0.1:8080\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let bad =
            |help: String| Refusal::new(Code::BadAddress, format!("{text:?} is not an address to listen on"), help);
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        Err(match text.rsplit_once(':') {
            Some(("localhost", port)) => bad(format!("names are not looked up here: write \"127.0.0.1:{port}\"")),
            Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
                bad(format!("for every interface write \"0.0.0.0:{port}\" or \"[::]:{port}\""))
            }
            _ if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) => bad(format!("add a port: \"{text}:8080\"")),
            _ if text.parse::<IpAddr>().is_ok() => bad(format!("add brackets and a port: \"[{text}]:8080\"")),
            _ if text.parse::<u16>().is_ok() => bad(format!("add an address: \"127.0.0.1:{text}\"")),
            _ => bad("an IP address and a port: \"127.0.0.1:8080\" or \"[::1]:8080\"".into()),
        })
    }

    fn hints() -> Json {
        json!({ "examples": ["127.0.0.1:8080", "[::]:8443"] })
    }
}

/// A network of peers; a single address is a network of one.
#[derive(Debug, Clone, Copy)]
pub struct Network(pub IpNet);

impl Text for Network {
    const EXPECTED: &'static str = "a text with an IP address or a network, such as \"10.0.0.0/8\"";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let Ok(network) = network else {
            let help = "an IP address, or a network by its prefix length: \"10.0.0.0/8\", \"fd00::/8\"";
            return Err(Refusal::new(Code::BadNetwork, format!("{text:?} is not an IP address or network"), help));
        };
        if network.trunc() != network {
            let help = format!("the network is \"{}\"; this address alone is \"{}\"", network.trunc(), network.addr());
            return Err(Refusal::new(Code::BadNetwork, format!("{text:?} has bits after its prefix"), help));
        }
        Ok(Self(network))
    }
}
