//! Immediate dominators, by Georgiadis' algorithm "semi-NCA".
//!
//! Its time is bounded for any graph: one search, for every edge a walk that shortens itself, and
//! for every vertex a walk up the finished part of the tree.

/// The graph, by the numbers of its vertices; all paths start at 0.
#[derive(Debug)]
pub(super) struct Graph {
    next: Vec<Vec<usize>>,
}

impl Graph {
    pub(super) fn new(vertices: usize) -> Self {
        Self { next: vec![Vec::new(); vertices] }
    }

    pub(super) fn add_edge(&mut self, from: usize, to: usize) {
        if let Some(next) = self.next.get_mut(from) {
            next.push(to);
        }
    }

    /// The vertices that paths lead to, without 0, each with the nearest other vertex that is on
    /// every path to it; that one always comes before it.
    pub(super) fn dominators(&self) -> Vec<(usize, usize)> {
        let search = Search::of(self);
        let semi = search.semidominators();
        // From here on, vertices are given by their places in the search.
        let mut above = search.parents.clone();
        for place in 1..above.len() {
            let mut upper = at(&above, place);
            while upper > at(&semi, place) {
                upper = at(&above, upper);
            }
            set(&mut above, place, upper);
        }
        let named = |place| at(&search.order, place);
        (1..above.len()).map(|place| (named(place), named(at(&above, place)))).collect()
    }
}

/// A depth-first search.
struct Search {
    /// The vertices in the order in which they were found.
    order: Vec<usize>,
    /// From where each was found, both as places in that order; 0 for the first.
    parents: Vec<usize>,
    /// For each place, the places from which edges lead there.
    before: Vec<Vec<usize>>,
}

impl Search {
    fn of(graph: &Graph) -> Self {
        let mut places = vec![None; graph.next.len()];
        let mut search = Self { order: Vec::new(), parents: Vec::new(), before: Vec::new() };
        let mut stack = vec![(0, 0)];
        while let Some((vertex, parent)) = stack.pop() {
            let Some(place) = places.get_mut(vertex).filter(|place| place.is_none()) else {
                continue;
            };
            let number = search.order.len();
            *place = Some(number);
            search.order.push(vertex);
            search.parents.push(parent);
            let next = graph.next.get(vertex).into_iter().flatten();
            stack.extend(next.map(|next| (*next, number)));
        }
        search.before = vec![Vec::new(); search.order.len()];
        for (number, vertex) in search.order.iter().enumerate() {
            for next in graph.next.get(*vertex).into_iter().flatten() {
                let place = places.get(*next).copied().flatten();
                if let Some(before) = place.and_then(|place| search.before.get_mut(place)) {
                    before.push(number);
                }
            }
        }
        search
    }

    fn semidominators(&self) -> Vec<usize> {
        let count = self.order.len();
        let mut semi: Vec<usize> = (0..count).collect();
        let mut forest = Forest { above: self.parents.clone(), label: semi.clone() };
        for place in (1..count).rev() {
            let mut least = at(&self.parents, place);
            for before in self.before.get(place).into_iter().flatten() {
                let label = forest.least(*before, place + 1, &semi);
                least = least.min(at(&semi, label));
            }
            set(&mut semi, place, least);
        }
        semi
    }
}

/// The finished part of the search tree, with its paths shortened.
struct Forest {
    above: Vec<usize>,
    /// Of the vertices skipped by the shortened path, the one with the least semidominator.
    label: Vec<usize>,
}

impl Forest {
    /// The vertex with the least semidominator among `place` and those above it that are finished,
    /// which are those from `done` on.
    fn least(&mut self, place: usize, done: usize, semi: &[usize]) -> usize {
        let mut way = Vec::new();
        let mut upper = place;
        while at(&self.above, upper) >= done {
            way.push(upper);
            upper = at(&self.above, upper);
        }
        while let Some(lower) = way.pop() {
            let (here, there) = (at(&self.label, lower), at(&self.label, upper));
            if at(semi, there) < at(semi, here) {
                set(&mut self.label, lower, there);
            }
            let next = at(&self.above, upper);
            set(&mut self.above, lower, next);
            upper = lower;
        }
        at(&self.label, place)
    }
}

fn at(list: &[usize], place: usize) -> usize {
    list.get(place).copied().unwrap_or(0)
}

fn set(list: &mut [usize], place: usize, value: usize) {
    if let Some(slot) = list.get_mut(place) {
        *slot = value;
    }
}
