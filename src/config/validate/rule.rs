//! `[rules.*]`, and what a route asks together with the rule sets that it names.
//!
//! Rule sets only add: all that a route and its sets ask must hold. What can never hold together is refused here, so
//! that nobody is locked out by two rules that each look fine.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::route::Names;
use super::{Check, Named};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::{Accepted, ClaimTest, Param, Requirements};
use crate::config::raw::{Root, route as raw};
use crate::config::read::{At, Entries, List};
use crate::config::table::Field;
use crate::config::word::claim::ClaimRule;
use crate::config::word::names::{AcrValue, Name, NonEmpty, Pointer, Scope};
use crate::config::word::quantity::Period;
use crate::pattern::{PathPattern, Segment};

/// The keys that routes and rule sets have in common.
#[derive(Clone, Copy)]
struct Keys<'a> {
    scopes: &'a Field<List<Scope>>,
    any_scope: &'a Field<List<Scope>>,
    claims: &'a Field<Entries<Pointer, ClaimRule>>,
    issuers: &'a Field<List<NonEmpty>>,
    audiences: &'a Field<List<NonEmpty>>,
    client_ids: &'a Field<List<NonEmpty>>,
    acr: &'a Field<List<AcrValue>>,
    max_age: &'a Field<Period>,
    min_remaining_life: &'a Field<Period>,
    max_total_life: &'a Field<Period>,
}

macro_rules! keys_of {
    ($raw:expr) => {
        Keys {
            scopes: &$raw.scopes,
            any_scope: &$raw.any_scope,
            claims: &$raw.claims,
            issuers: &$raw.issuers,
            audiences: &$raw.audiences,
            client_ids: &$raw.client_ids,
            acr: &$raw.acr,
            max_age: &$raw.max_age,
            min_remaining_life: &$raw.min_remaining_life,
            max_total_life: &$raw.max_total_life,
        }
    };
}

/// What one table asks, with the names in it resolved.
#[derive(Clone)]
pub struct Part<'a> {
    /// The rule set; `None`: the route itself.
    set: Option<&'a str>,
    keys: Keys<'a>,
    /// Positions of the issuers that it names; `None`: it names none.
    issuers: Option<Vec<usize>>,
}

/// The rule sets of the file, by name; `None` where one is broken.
pub struct Sets<'a>(Vec<(&'a str, Option<Part<'a>>)>);

/// Reads the rule sets, each checked by itself.
pub fn sets<'a>(root: &'a Root, names: &Names<'_>, check: &mut Check<'_, '_>) -> Sets<'a> {
    let entries = root.rules.get().map_or(&[][..], |entries| &entries.0);
    warn_of_unused(root, entries, check);
    let part = |(name, set): &'a (At<Name>, At<raw::RuleSet>)| {
        let name = &*name.value.0;
        (name, part(Some(name), keys_of!(set.value), names, check))
    };
    Sets(entries.iter().map(part).collect())
}

fn warn_of_unused(root: &Root, entries: &[(At<Name>, At<raw::RuleSet>)], check: &mut Check<'_, '_>) {
    let Some(routes) = root.routes.get() else { return };
    let lists = routes.0.iter().filter_map(|route| route.value.rules.get());
    let used: BTreeSet<&str> = lists.flat_map(|list| &list.0).map(|name| &*name.value.0).collect();
    let known = |name: &&str| entries.iter().any(|(entry, _)| entry.value.0 == **name);
    // A route that names nothing that exists may well mean the one that seems unused.
    if check.lost_tables || !used.iter().all(known) {
        return;
    }
    for (name, _) in entries.iter().filter(|(name, _)| !used.contains(&*name.value.0)) {
        let message = format!("no route uses the rule set {:?}", name.value.0);
        let help = format!("name it in a route: rules = [{:?}]; or remove it", name.value.0);
        check.report(Diagnostic::new(Code::UnusedRuleSet, message).at(&name.span, "").help(help));
    }
}

/// The route's own part, and those of the rule sets that it names; `None` when one of them is broken or unknown.
pub fn parts<'a>(
    raw: &'a raw::Route,
    sets: &Sets<'a>,
    names: &Names<'_>,
    check: &mut Check<'_, '_>,
) -> Option<Vec<Part<'a>>> {
    let own = part(None, keys_of!(raw), names, check);
    let known: Vec<&str> = sets.0.iter().map(|(name, _)| *name).collect();
    let what = Named { code: Code::UnknownRuleSet, noun: "rule set", table: "rules" };
    let mut all = vec![own];
    for name in raw.rules.get().map_or(&[][..], |list| &list.0) {
        let position = check.resolve(&name.value.0, &name.span, &known, what);
        all.push(position.and_then(|position| sets.0[position].1.clone()));
    }
    if matches!(raw.rules, Field::Broken) {
        return None;
    }
    all.into_iter().collect()
}

/// Keys of a route that ask something of a token, as far as they are written.
pub fn written(raw: &raw::Route) -> impl Iterator<Item = (&'static str, &Span)> {
    let keys = [
        ("rules", raw.rules.key()),
        ("scopes", raw.scopes.key()),
        ("any_scope", raw.any_scope.key()),
        ("claims", raw.claims.key()),
        ("issuers", raw.issuers.key()),
        ("audiences", raw.audiences.key()),
        ("client_ids", raw.client_ids.key()),
        ("acr", raw.acr.key()),
        ("max_age", raw.max_age.key()),
        ("min_remaining_life", raw.min_remaining_life.key()),
        ("max_total_life", raw.max_total_life.key()),
        ("bind", raw.bind.key()),
        ("token_from", raw.token_from.key()),
        ("login", raw.login.key()),
    ];
    keys.into_iter().filter_map(|(name, key)| key.map(|key| (name, key)))
}

fn part<'a>(set: Option<&'a str>, keys: Keys<'a>, names: &Names<'_>, check: &mut Check<'_, '_>) -> Option<Part<'a>> {
    let issuers = names.issuers(keys.issuers, check);
    if let Some(issuers) = &issuers {
        audiences_narrow(keys.audiences, issuers.as_deref(), names, check);
    }
    any_scope_counts(keys, check);
    issuers.map(|issuers| Part { set, keys, issuers })
}

fn audiences_narrow(
    written: &Field<List<NonEmpty>>,
    issuers: Option<&[usize]>,
    names: &Names<'_>,
    check: &mut Check<'_, '_>,
) {
    let Some((audiences, _)) = written.written() else { return };
    let Some(known) = names.audiences(issuers) else { return };
    for audience in &audiences.0 {
        if known.iter().any(|list| list.iter().any(|known| known.value.0 == audience.value.0)) {
            continue;
        }
        let message =
            format!("{:?} is no audience of the route's issuers, so a token would have to name both", audience.value.0);
        let help = "add it to `audiences` of the issuer; `audiences` of a route narrow those";
        check.report(Diagnostic::new(Code::AudienceNotNarrowing, message).at(&audience.span, "").help(help));
    }
}

fn any_scope_counts(keys: Keys<'_>, check: &mut Check<'_, '_>) {
    let (Some((all, _)), Some((any, _))) = (keys.scopes.written(), keys.any_scope.written()) else { return };
    let both = any.0.iter().find_map(|scope| Some((scope, all.0.iter().find(|other| other.value.0 == scope.value.0)?)));
    if let Some((scope, needed)) = both {
        let message = format!("`any_scope` has no effect: {:?} is needed anyway", scope.value.0);
        let diagnostic = Diagnostic::new(Code::NoEffect, message).at(&scope.span, "").at(&needed.span, "needed here");
        check.report(diagnostic.help("take it out of `scopes`, or `any_scope` out of the route"));
    }
}

/// The issuers whose tokens all parts take, and what each asks; reports what can never hold together.
pub fn together(
    parts: &[Part<'_>],
    path: (&PathPattern, &Span),
    issuers: usize,
    check: &mut Check<'_, '_>,
) -> Option<(Vec<usize>, Vec<Requirements>)> {
    lists_meet("acr", parts, |keys| texts_at(keys.acr, |acr| &acr.0), check);
    lists_meet("client_ids", parts, |keys| texts_at(keys.client_ids, |client| &client.0), check);
    claims_meet(parts, check);
    lives_meet(parts, check);
    let issuers = issuers_meet(parts, issuers, check);
    let requirements: Vec<_> = parts.iter().map(|part| part.requirements(path, check)).collect();
    Some((issuers, requirements.into_iter().collect::<Option<_>>()?))
}

fn issuers_meet(parts: &[Part<'_>], all: usize, check: &mut Check<'_, '_>) -> Vec<usize> {
    let mut meeting: Vec<usize> = (0..all).collect();
    let mut named: Vec<&Span> = Vec::new();
    for part in parts {
        let (Some(issuers), Some((_, span))) = (&part.issuers, part.keys.issuers.written()) else { continue };
        let was_empty = meeting.is_empty();
        meeting.retain(|issuer| issuers.contains(issuer));
        if meeting.is_empty() && !was_empty {
            never("issuers", "no issuer is in all of these lists", span, &named, check);
        }
        named.push(span);
    }
    meeting
}

/// Reports lists of which a token can have only one value, when no value is in all of them.
fn lists_meet<'a>(
    key: &str,
    parts: &[Part<'a>],
    list: impl Fn(Keys<'a>) -> Option<(Vec<&'a str>, &'a Span)>,
    check: &mut Check<'_, '_>,
) {
    let mut meeting: Option<Vec<&str>> = None;
    let mut named: Vec<&Span> = Vec::new();
    for (values, span) in parts.iter().filter_map(|part| list(part.keys)) {
        match &mut meeting {
            None => meeting = Some(values),
            Some(common) => {
                let was_empty = common.is_empty();
                common.retain(|value| values.contains(value));
                if common.is_empty() && !was_empty {
                    never(key, "no value is in all of these lists", span, &named, check);
                }
            }
        }
        named.push(span);
    }
}

fn never(key: &str, why: &str, at: &Span, others: &[&Span], check: &mut Check<'_, '_>) {
    let message = format!("`{key}` can never hold: {why}");
    let diagnostic = Diagnostic::new(Code::RuleNeverHolds, message).at(at, "");
    let diagnostic = others.iter().fold(diagnostic, |diagnostic, other| diagnostic.at(other, "asked for too"));
    check.report(diagnostic.help("what a route and its rule sets ask must all hold; drop one of them"));
}

/// Reports two tests of one claim that no claim passes.
fn claims_meet(parts: &[Part<'_>], check: &mut Check<'_, '_>) {
    let all = parts.iter().flat_map(|part| part.keys.claims.get().map_or(&[][..], |entries| &entries.0));
    let all: Vec<_> = all.collect();
    for (nth, (pointer, later)) in all.iter().enumerate() {
        for (_, earlier) in all[..nth].iter().filter(|(other, _)| other.value.0 == pointer.value.0) {
            if excludes(&earlier.value.test, &later.value.test) || excludes(&later.value.test, &earlier.value.test) {
                let why = "no claim passes both of these tests";
                never(&format!("claims.{}", pointer.value.0), why, &later.span, &[&earlier.span], check);
            }
        }
    }
}

/// Whether nothing that passes `one` passes `other`, as far as can be known without a request.
fn excludes(one: &ClaimTest<Box<str>>, other: &ClaimTest<Box<str>>) -> bool {
    match one {
        ClaimTest::Absent => *other != ClaimTest::Absent,
        ClaimTest::OneOf(values) => values.iter().all(|accepted| match accepted {
            Accepted::Value(value) => !other.holds(Some(value), |_, _| true),
            Accepted::Param(_) => false,
        }),
        ClaimTest::Exists | ClaimTest::Has(_) | ClaimTest::Contains(_) => false,
    }
}

fn lives_meet(parts: &[Part<'_>], check: &mut Check<'_, '_>) {
    let remaining = parts.iter().filter_map(|part| part.keys.min_remaining_life.written());
    let total = parts.iter().filter_map(|part| part.keys.max_total_life.written());
    let longest = remaining.max_by_key(|(period, _)| period.0);
    let shortest = total.min_by_key(|(period, _)| period.0);
    if let (Some((at_least, first)), Some((at_most, second))) = (longest, shortest)
        && at_least.0 > at_most.0
    {
        never("min_remaining_life", "it is longer than the whole life of a token may be", first, &[second], check);
    }
}

fn texts_at<T>(field: &Field<List<T>>, text: impl Fn(&T) -> &String) -> Option<(Vec<&str>, &Span)> {
    let (list, span) = field.written()?;
    Some((list.0.iter().map(|at| text(&at.value).as_str()).collect(), span))
}

impl Part<'_> {
    fn requirements(&self, path: (&PathPattern, &Span), check: &mut Check<'_, '_>) -> Option<Requirements> {
        let Keys { scopes, any_scope, audiences, client_ids, acr, .. } = self.keys;
        let claims = self.keys.claims.get().map_or(&[][..], |entries| &entries.0);
        let claims: Vec<_> = claims.iter().map(|(pointer, rule)| claim(pointer, &rule.value, path, check)).collect();
        let period = |field: &Field<Period>| field.get().map(|period| period.0);
        Some(Requirements {
            set: self.set.map(Arc::from),
            audiences: texts(audiences, |audience| &audience.0),
            scopes: texts(scopes, |scope| &scope.0),
            any_scope: texts(any_scope, |scope| &scope.0),
            claims: claims.into_iter().collect::<Option<_>>()?,
            client_ids: texts(client_ids, |client| &client.0),
            acr: texts(acr, |acr| &acr.0),
            max_age: period(self.keys.max_age),
            min_remaining_life: period(self.keys.min_remaining_life),
            max_total_life: period(self.keys.max_total_life),
        })
    }
}

fn texts<T>(field: &Field<List<T>>, text: impl Fn(&T) -> &String) -> Vec<String> {
    field.get().map_or_else(Vec::new, |list| list.0.iter().map(|at| text(&at.value).clone()).collect())
}

/// The test with the parameters of this path in place of their names.
fn claim(
    pointer: &At<Pointer>,
    rule: &ClaimRule,
    path: (&PathPattern, &Span),
    check: &mut Check<'_, '_>,
) -> Option<(String, ClaimTest<Param>)> {
    for (accepted, place) in rule.test.accepted().iter().zip(&rule.places) {
        whole_or_not_at_all(accepted, place, path.0, check);
    }
    let mut places = rule.test.accepted().iter().zip(&rule.places);
    let test = rule.test.map(|name| {
        let place = places.find(|(accepted, _)| **accepted == Accepted::Param(name.clone())).map(|(_, place)| place);
        parameter(name, place.unwrap_or(&pointer.span), path, check)
    });
    Some((pointer.value.0.clone(), test?))
}

fn parameter(name: &str, at: &Span, path: (&PathPattern, &Span), check: &mut Check<'_, '_>) -> Option<Param> {
    let named = |segment: &Segment, wanted: &str| match segment {
        Segment::Literal(_) => false,
        Segment::Param(name) | Segment::Rest(name) => **name == *wanted,
    };
    let segment = path.0.segments().iter().position(|segment| named(segment, name));
    let (message, help) = match segment.map(|segment| (segment, &path.0.segments()[segment])) {
        Some((segment, Segment::Param(_))) => return Some(Param { name: name.into(), segment }),
        Some(_) => (
            format!("{{*{name}}} stands for several segments, and a claim is compared with one"),
            "give the segment a name of its own in the path, as {name}".to_owned(),
        ),
        None => (
            format!("the path has no parameter {name:?}"),
            format!(
                "name one that the path has; for the text {{{name}}} itself, double the braces: \"{{{{{name}}}}}\""
            ),
        ),
    };
    let diagnostic = Diagnostic::new(Code::UnknownParameter, message).at(at, "").at(path.1, "the path");
    check.report(diagnostic.help(help));
    None
}

/// A parameter inside a longer text would be compared as it stands there, which nobody means.
fn whole_or_not_at_all(accepted: &Accepted<Box<str>>, at: &Span, path: &PathPattern, check: &mut Check<'_, '_>) {
    let Accepted::Value(serde_json::Value::String(text)) = accepted else { return };
    let inside = path.segments().iter().find_map(|segment| match segment {
        Segment::Param(name) => text.contains(&format!("{{{name}}}")).then_some(name),
        Segment::Literal(_) | Segment::Rest(_) => None,
    });
    if let Some(name) = inside.filter(|name| *text != format!("{{{name}}}")) {
        let message = format!("{text:?} would be compared as it stands: a parameter is the whole value or nothing");
        let help = format!("compare the claim with \"{{{name}}}\" alone");
        check.report(Diagnostic::new(Code::UnknownParameter, message).at(at, "").help(help));
    }
}
