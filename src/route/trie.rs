//! A trie of path segments. The most specific pattern is found first: segment by segment, a literal before a
//! `{name}` before a `{*rest}`, stepping back where a branch leads nowhere.
//!
//! A lookup visits a node at most once, and at a depth no more nodes than patterns share it with the path, so its cost
//! follows the path and the patterns that look like it, not the number of routes.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::pattern::{Segment, decode_segment};

/// Patterns, each with the number of a leaf.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    manner: Manner,
}

/// How segments are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As the patterns say.
    Exact,
    /// As many upstreams do it: letter case does not count, and before a less specific pattern is taken, a last slash
    /// may be missing or one too many.
    Lenient,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize, RandomState>,
    param: Option<usize>,
    rest: Option<usize>,
    leaf: Option<usize>,
}

impl Trie {
    pub(super) fn new(manner: Manner) -> Self {
        Self { nodes: vec![Node::default()], manner }
    }

    /// The leaf of this pattern: what it is, or `fresh` if there is none yet.
    pub(super) fn insert(&mut self, pattern: &[Segment], fresh: usize) -> usize {
        let mut at = 0;
        for segment in pattern {
            if matches!(segment, Segment::Rest(_)) {
                return *self.nodes[at].rest.get_or_insert(fresh);
            }
            at = self.child_or_new(at, segment);
        }
        *self.nodes[at].leaf.get_or_insert(fresh)
    }

    fn child_or_new(&mut self, at: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let node = &mut self.nodes[at];
        let child = match segment {
            Segment::Literal(text) => *node.literals.entry(spelt(text, self.manner).into()).or_insert(new),
            Segment::Param(_) | Segment::Rest(_) => *node.param.get_or_insert(new),
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    /// Whether no other pattern could take a path away from this one, which was inserted: nowhere on its way is there
    /// a more specific branch than its own.
    pub(super) fn stands_alone(&self, pattern: &[Segment]) -> bool {
        let mut at = Some(&self.nodes[0]);
        pattern.iter().all(|segment| {
            let Some(node) = at else { return false };
            let child = match segment {
                Segment::Literal(text) => node.literals.get(&*spelt(text, self.manner)).copied(),
                Segment::Param(_) | Segment::Rest(_) => node.param,
            };
            at = child.and_then(|child| self.nodes.get(child));
            match segment {
                Segment::Literal(_) => true,
                Segment::Param(_) => node.literals.is_empty(),
                Segment::Rest(_) => node.literals.is_empty() && node.param.is_none(),
            }
        })
    }

    /// The leaf of the most specific pattern that matches a canonical path.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let escaped = memchr::memchr(b'%', path.as_bytes()).is_some();
        self.walk(0, path.strip_prefix('/'), escaped)
    }

    /// `tail`: what is left of the path after the slash; `None` at its end.
    fn walk(&self, at: usize, tail: Option<&str>, escaped: bool) -> Option<usize> {
        let node = &self.nodes[at];
        let Some(tail) = tail else {
            return node.leaf.or(node.rest).or_else(|| self.with_slash(node));
        };
        let (segment, next) = split(tail);
        self.literal(node, segment, escaped)
            .and_then(|child| self.walk(child, next, escaped))
            .or_else(|| node.param.filter(|_| !segment.is_empty()).and_then(|child| self.walk(child, next, escaped)))
            .or(node.rest)
            .or_else(|| node.leaf.filter(|_| self.manner == Manner::Lenient && tail.is_empty()))
    }

    fn literal(&self, node: &Node, segment: &str, escaped: bool) -> Option<usize> {
        if node.literals.is_empty() {
            return None;
        }
        let text = if escaped { decode_segment(segment) } else { Cow::Borrowed(segment) };
        node.literals.get(&*spelt(&text, self.manner)).copied()
    }

    fn with_slash(&self, node: &Node) -> Option<usize> {
        match self.manner {
            Manner::Exact => None,
            Manner::Lenient => node.literals.get("").and_then(|child| self.nodes[*child].leaf),
        }
    }
}

fn split(tail: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', tail.as_bytes()) {
        Some(slash) => (&tail[..slash], Some(&tail[slash + 1..])),
        None => (tail, None),
    }
}

fn spelt(text: &str, manner: Manner) -> Cow<'_, str> {
    let keeps_case = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    match manner {
        Manner::Exact => Cow::Borrowed(text),
        Manner::Lenient if text.bytes().all(keeps_case) => Cow::Borrowed(text),
        Manner::Lenient => Cow::Owned(text.to_lowercase()),
    }
}
