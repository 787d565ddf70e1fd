//! `[server]`, `[admin]`, `[upstreams.*]` and `[log]`.

use crate::config::read::{List, OneOrMany};
use crate::config::table::{table, words};
use crate::config::word::names::{CertificateHeader, FilePath, LogLevel, NonEmpty};
use crate::config::word::net::{Listen, Network};
use crate::config::word::quantity::{Count, Period, Size};
use crate::config::word::secret::SecretSource;
use crate::config::word::url::{OriginUrl, RedisUrl, ServerUrl};

table! {
    /// Where and how the gateway listens.
    Server, "[server]" {
        /// Addresses for cleartext HTTP/1.1, and HTTP/2 with prior knowledge. Port 0 lets the system choose; the log and
        /// the admin API say what it chose. Default: `127.0.0.1:8080`, or none when `[server.tls]` is there.
        listen: OneOrMany<Listen>,
        /// Worker threads, each with its own listener and connections. Default: one per core.
        workers: Count<1024>,
        /// The origin by which clients know the gateway. It names the protected resource (RFC 9728) in challenges.
        public_url: OriginUrl,
        /// A folder where the last good key sets of issuers are kept, for a start while an issuer is down. Default: nothing
        /// is kept on disk.
        state_dir: FilePath,
        /// Peers whose `Forwarded` and `X-Forwarded-*` headers are believed: addresses and networks. Default: none.
        trusted_proxies: List<Network>,
        /// Where a trusted proxy that ends TLS tells of the client's certificate, for tokens that are bound to it (RFC 8705).
        /// Default: nowhere; the certificate is that of the connection.
        forwarded_certificate: ForwardedCertificate,
        /// How long requests in flight may take after SIGTERM before they are cut.
        drain_timeout: Period = "30s",
        /// Serving TLS: HTTP/1.1 and HTTP/2.
        tls: ServerTls,
        /// What one client may take.
        limits: Limits,
    }
}

table! {
    /// Serving TLS: HTTP/1.1 and HTTP/2.
    ServerTls, "[server.tls]" {
        /// Addresses that are served with TLS.
        listen: OneOrMany<Listen> => required,
        /// PEM file with the certificate chain, leaf first. Its content is watched.
        certificate: FilePath => required,
        /// PEM file with the private key of the leaf. Its content is watched.
        private_key: FilePath => required,
        /// PEM file with authorities of client certificates.
        client_ca: FilePath,
        /// Whether clients have to show a certificate: `required`, `optional` (it must be of `client_ca`, if there is one), or
        /// `unverified` (any certificate will do, for tokens that are bound to it, RFC 8705). Default: `required` with
        /// `client_ca`, else none is asked for.
        client_certificate: ClientCertificateWord,
    }
}

words! {
    /// Whether clients have to show a certificate.
    ClientCertificateWord {
        /// One of `client_ca`.
        Required = "required",
        /// One of `client_ca` or none.
        Optional = "optional",
        /// Any or none.
        Unverified = "unverified",
    }
}

table! {
    /// A header of a trusted proxy with the client's certificate.
    ForwardedCertificate, "{ header = \"...\", format = \"...\" }" {
        /// The name of the header. What others than `trusted_proxies` send of it is removed.
        header: CertificateHeader => required,
        /// How the certificate stands in it: `envoy` (`X-Forwarded-Client-Cert` with `Hash` or `Cert`), `pem` (escaped, as
        /// nginx's `$ssl_client_escaped_cert`), `base64` (DER, as HAProxy's `%[ssl_c_der,base64]` and Traefik write it) or
        /// `rfc9440` (`Client-Cert`).
        format: CertificateFormatWord => required,
    }
}

words! {
    /// How a header tells of a certificate.
    CertificateFormatWord {
        /// `X-Forwarded-Client-Cert`
        Envoy = "envoy",
        /// PEM with escapes.
        Pem = "pem",
        /// DER in base64.
        Base64 = "base64",
        /// RFC 9440
        Rfc9440 = "rfc9440",
    }
}

table! {
    /// What one client may take.
    Limits, "[server.limits]" {
        /// From the first byte of a request, or the accepted connection, to the end of its head.
        header_timeout: Period = "10s",
        /// A connection without a request is closed after this; so is one whose client takes nothing of a response for as long.
        idle_timeout: Period = "75s",
        /// Bytes of one request head; more is a 431.
        max_header_bytes: Size = "64KiB",
        /// Fields of one request head; more is a 431.
        max_headers: Count<10000> = 100,
        /// Bytes of one request body; more is a 413. Default: no limit.
        max_body_bytes: Size,
        /// Connections that are open at once, over all workers.
        max_connections: Count<10000000> = 10000,
    }
}

table! {
    /// The admin listener. It has no login: keep it on loopback or behind a firewall.
    Admin, "[admin]" {
        /// The address of the admin listener.
        listen: Listen = "127.0.0.1:9090",
        /// What `/revocations` and `/sessions` ask for, as `Authorization: Bearer`. Without it, they are there on loopback only.
        token: SecretSource,
    }
}

table! {
    /// Refusing tokens before they expire, as `POST /revocations` of the admin listener orders it.
    Revocation, "[revocation]" {
        /// How long a revocation lasts that does not say so: at least as long as the longest-lived access token.
        lifetime: Period = "24h",
        /// Revocations that are held at once; more are refused.
        max_entries: Count<1000000> = 10000,
        /// How long the revocations that were read last serve while Redis cannot be reached. Until it was read once, none do.
        max_stale: Period = "30s",
        /// What becomes of requests with a token after that: `refuse` (503 `store_unavailable`), or `serve`, by the revocations
        /// that are known.
        on_store_loss: StoreLossWord = "refuse",
    }
}

words! {
    /// What becomes of requests with a token while revocations cannot be read.
    StoreLossWord {
        /// 503.
        Refuse = "refuse",
        /// They are judged by what is known.
        Serve = "serve",
    }
}

table! {
    /// A Redis or Valkey server, or a cluster, by which replicas share sessions, revocations and DPoP proofs. Version 6 or newer.
    Redis, "[redis]" {
        /// The server: `redis://HOST:PORT/DB`, or `rediss://` for TLS. A URL with a password belongs in a file or a variable.
        url: SecretSource => required,
        /// Further nodes of the cluster that the server belongs to, with the same login. Without it, it is a server by itself.
        cluster: List<RedisUrl>,
        /// The user to log in as.
        username: NonEmpty,
        /// The password to log in with.
        password: SecretSource,
        /// PEM file with certificate authorities for `rediss://`, in place of the system's.
        ca_file: FilePath,
        /// PEM file with the certificate chain that the gateway shows, leaf first.
        client_certificate: FilePath,
        /// PEM file with its private key.
        client_key: FilePath,
        /// To connect, TLS and login included.
        connect_timeout: Period = "2s",
        /// To answer one command.
        timeout: Period = "1s",
        /// In front of every key and channel.
        prefix: NonEmpty = "tollgate:",
    }
}

table! {
    /// One API behind the gateway: a server, or several replicas.
    Upstream, "[upstreams.NAME]" {
        /// The servers, taken in turn: `http://`, `https://` or `h2c://`, without a path.
        servers: List<ServerUrl> => required,
        /// The Host that the upstream sees: `keep` (the client's), `upstream` (the server's own), or a name.
        host: NonEmpty = "keep",
        /// To open a connection, TLS included.
        connect_timeout: Period = "2s",
        /// From the sent request to the head of the response.
        response_timeout: Period = "30s",
        /// A kept connection without a request is closed after this.
        idle_timeout: Period = "60s",
        /// PEM file with certificate authorities for https servers, in place of the system's.
        ca_file: FilePath,
    }
}

table! {
    /// What is logged, and how. Tokens, cookies and secrets never are.
    Log, "[log]" {
        /// The access log, one line a request: `json`, `pretty` or `off`. Default: `pretty` on a terminal, else `json`.
        access: AccessWord,
        /// What the diagnostic log tells: `error`, `warn`, `info`, `debug` or `trace`, also per module.
        level: LogLevel = "info",
        /// How the access log shows who called: `hash` (the same for the same subject), `plain` or `none`.
        subject: SubjectWord = "hash",
    }
}

words! {
    /// The form of the access log.
    AccessWord {
        /// One JSON object a line.
        Json = "json",
        /// Columns for a person.
        Pretty = "pretty",
        /// None.
        Off = "off",
    }
}

words! {
    /// How a subject is shown.
    SubjectWord {
        /// A stand-in.
        Hash = "hash",
        /// As it is.
        Plain = "plain",
        /// Not at all.
        None = "none",
    }
}
