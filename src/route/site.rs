//! The routes of one host pattern, found by path and method.

use crate::pattern::{MethodSet, Segment};

use super::trie::{Manner, Trie};

/// The routes of one host pattern.
#[derive(Debug)]
pub(super) struct Site {
    exact: Trie,
    lenient: Trie,
    leaves: Vec<Leaf>,
    /// The routes at each leaf of `lenient`.
    groups: Vec<Vec<usize>>,
}

/// The routes of one path shape.
#[derive(Debug)]
pub(super) struct Leaf {
    pattern: Vec<Segment>,
    routes: Vec<(MethodSet, usize)>,
    /// All methods that they take.
    pub(super) allow: MethodSet,
    /// No other path shape of the site could take a path away from it, even leniently.
    pub(super) stands_alone: bool,
}

impl Site {
    pub(super) fn new() -> Self {
        let (exact, lenient) = (Trie::new(Manner::Exact), Trie::new(Manner::Lenient));
        Self { exact, lenient, leaves: Vec::new(), groups: Vec::new() }
    }

    pub(super) fn insert(&mut self, pattern: &[Segment], methods: MethodSet, route: usize) {
        let leaf = self.exact.insert(pattern, self.leaves.len());
        if leaf == self.leaves.len() {
            let allow = MethodSet::EMPTY;
            self.leaves.push(Leaf { pattern: pattern.to_vec(), routes: Vec::new(), allow, stands_alone: false });
        }
        let leaf = &mut self.leaves[leaf];
        leaf.routes.push((methods, route));
        leaf.allow = leaf.allow.union(methods);
        let group = self.lenient.insert(pattern, self.groups.len());
        if group == self.groups.len() {
            self.groups.push(Vec::new());
        }
        self.groups[group].push(route);
    }

    /// To be called once, after the last insertion.
    pub(super) fn finish(&mut self) {
        for leaf in &mut self.leaves {
            leaf.routes.sort_by_key(|(methods, _)| methods.len());
            leaf.stands_alone = self.lenient.stands_alone(&leaf.pattern);
        }
    }

    /// The routes of the most specific path shape that matches.
    pub(super) fn find(&self, path: &str) -> Option<&Leaf> {
        self.exact.find(path).and_then(|leaf| self.leaves.get(leaf))
    }

    /// The routes that an upstream may take the path for which cares neither for letter case nor for a last slash.
    pub(super) fn find_leniently(&self, path: &str) -> Option<&[usize]> {
        self.lenient.find(path).and_then(|group| self.groups.get(group)).map(Vec::as_slice)
    }
}

impl Leaf {
    /// Of the routes that take the method, the one that takes the fewest.
    pub(super) fn route(&self, method: MethodSet) -> Option<usize> {
        self.routes.iter().find(|(methods, _)| methods.contains(method)).map(|(_, route)| *route)
    }
}
