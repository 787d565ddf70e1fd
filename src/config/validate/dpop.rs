//! `[dpop]`

use super::Check;
use super::files::Inline;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::Dpop;
use crate::config::raw::Root;
use crate::config::table::Field;
use crate::config::word::token::AlgorithmName;

pub fn dpop(root: &Root, check: &mut Check<'_, '_>) -> Option<Dpop> {
    let raw = root.dpop.or_empty()?;
    let nonce = *raw.nonce.get()?;
    for (name, key) in [("nonce_lifetime", raw.nonce_lifetime.key()), ("nonce_secret", raw.nonce_secret.key())] {
        if let Some(key) = key.filter(|_| !nonce) {
            let message = format!("`{name}` has no effect: no proof has to have a nonce");
            check.report(Diagnostic::new(Code::NoEffect, message).at(key, "").help("write nonce = true, or remove it"));
        }
    }
    let mut algorithms = AlgorithmName::all();
    if let Some(list) = raw.algorithms.get() {
        algorithms = Vec::new();
        list.0.iter().for_each(|at| {
            if !algorithms.contains(&at.value.0) {
                algorithms.push(at.value.0);
            }
        });
    } else if matches!(raw.algorithms, Field::Broken) {
        return None;
    }
    let nonce_secret = match &raw.nonce_secret {
        Field::Absent => None,
        written => Some(check.secret(written, Inline::Warned)?),
    };
    Some(Dpop {
        offered: root.dpop.key().is_some(),
        proof_lifetime: raw.proof_lifetime.get()?.0,
        clock_skew: raw.clock_skew.get()?.0,
        algorithms,
        nonce,
        nonce_lifetime: raw.nonce_lifetime.get()?.0,
        nonce_secret,
        max_proofs: raw.max_proofs.get()?.0,
    })
}
