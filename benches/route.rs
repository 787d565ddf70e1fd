//! How long it takes to find the route of a request: the cost is to follow the path, not the number of routes.
//!
//! `cargo bench --bench route`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use tollgate::pattern::{EncodedSlash, HostPattern, MethodSet, PathPattern, canonical_host};
use tollgate::route::{Entry, RouteTable};

/// `count` routes of services with a collection and an item each, on one host.
fn table(count: usize) -> RouteTable {
    let hosts = [HostPattern::parse("api.acme.example").expect("a host")];
    let paths: Vec<PathPattern> = (0..count)
        .map(|at| match at % 2 {
            0 => format!("/v1/service-{at}/orders"),
            _ => format!("/v1/service-{at}/orders/{{id}}"),
        })
        .map(|text| PathPattern::parse(&text).expect("a path"))
        .collect();
    RouteTable::build(paths.iter().map(|path| Entry {
        name: "route",
        hosts: &hosts,
        path,
        methods: MethodSet::DEFAULT,
        encoded_slash: EncodedSlash::Separates,
        strip_prefix: None,
    }))
}

fn locate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("locate");
    for count in [10, 1_000, 10_000] {
        let table = table(count);
        let plain = format!("/v1/service-{}/orders/12345", count - 1);
        for (kind, path) in [
            ("plain", plain.clone()),
            ("escaped", format!("{plain}%20caf%C3%A9")),
            ("dots", plain.replace("/orders", "/orders/../orders")),
        ] {
            group.bench_with_input(BenchmarkId::new(kind, count), &path, |bencher, path| {
                bencher.iter(|| table.locate(Some("api.acme.example"), black_box(path), &Method::GET));
            });
        }
    }
    group.finish();
}

/// A literal beside a parameter, where letter case has to be looked at too; and a path made to be read in many ways.
fn rivalled(criterion: &mut Criterion) {
    let paths = ["/v1/users/me", "/v1/users/{id}", "/{*rest}"].map(|text| PathPattern::parse(text).expect("a path"));
    let table = RouteTable::build(paths.iter().map(|path| Entry {
        name: "route",
        hosts: &[],
        path,
        methods: MethodSet::DEFAULT,
        encoded_slash: EncodedSlash::Separates,
        strip_prefix: None,
    }));
    criterion.bench_function("locate/rivalled", |bencher| {
        bencher.iter(|| table.locate(None, black_box("/v1/users/12345"), &Method::GET));
    });
    let hostile = format!("/a/{}", "%252e;%2f%20.%5c".repeat(60));
    criterion.bench_function("locate/hostile, 1 KiB", |bencher| {
        bencher.iter(|| table.locate(None, black_box(&hostile), &Method::GET));
    });
}

fn hosts(criterion: &mut Criterion) {
    for (name, authority) in [("plain", "api.acme.example:8443"), ("upper", "Api.Acme.Example")] {
        criterion.bench_function(&format!("canonical_host/{name}"), |bencher| {
            bencher.iter(|| canonical_host(black_box(authority)).map(|host| host.len()));
        });
    }
}

criterion_group!(benches, locate, rivalled, hosts);
criterion_main!(benches);
