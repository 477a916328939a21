//! Which batches run as graphs. Decides by the number of images alone; knows nothing of devices.

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Run it as if there were no graphs.
    Plainly,
    /// Run it as a graph, which is captured first where none is kept.
    AsGraph,
}

/// The graphs of batches of different sizes, one for each, and what is known of the sizes.
pub(super) struct GraphCache<G> {
    /// Sizes that have run, the most recently used last.
    sizes: Vec<(usize, State<G>)>,
    /// Graphs that are kept at most.
    most: usize,
    /// Batches of more images run plainly.
    largest: usize,
}

enum State<G> {
    /// It has run plainly: libraries have chosen their algorithms and have working memory.
    Warm,
    Kept(G),
    /// It cannot run as a graph.
    Refused,
}

impl<G> State<G> {
    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

impl<G> GraphCache<G> {
    /// Keeps `most` graphs at most; the least recently used goes first.
    pub(super) fn new(most: usize) -> Self {
        Self { sizes: Vec::new(), most, largest: usize::MAX }
    }

    /// What to do with a batch of so many images: the first of a size runs plainly.
    pub(super) fn step(&mut self, images: usize) -> Step {
        let allowed = images <= self.largest;
        match self.use_now(images) {
            Some(State::Warm | State::Kept(_)) if allowed => Step::AsGraph,
            _ => Step::Plainly,
        }
    }

    /// A batch of so many images has run.
    pub(super) fn ran(&mut self, images: usize) {
        if self.use_now(images).is_none() {
            self.sizes.push((images, State::Warm));
        }
    }

    /// The graph of batches of so many images.
    pub(super) fn graph(&self, images: usize) -> Option<&G> {
        self.sizes.iter().find_map(|(size, state)| match state {
            State::Kept(graph) if *size == images => Some(graph),
            _ => None,
        })
    }

    /// Keeps a graph. Drops another one where that is one too many.
    pub(super) fn keep(&mut self, images: usize, graph: G) {
        self.set(images, State::Kept(graph));
        if self.kept() > self.most
            && let Some((_, oldest)) = self.sizes.iter_mut().find(|(_, state)| state.is_kept())
        {
            *oldest = State::Warm;
        }
    }

    /// Graphs that are kept.
    pub(super) fn kept(&self) -> usize {
        self.sizes.iter().filter(|(_, state)| state.is_kept()).count()
    }

    /// Runs batches of so many images plainly from now on.
    pub(super) fn refuse(&mut self, images: usize) {
        self.set(images, State::Refused);
    }

    /// Drops all graphs: what they work on has moved. They are captured again when their sizes come.
    pub(super) fn drop_graphs(&mut self) {
        for (_, state) in &mut self.sizes {
            if state.is_kept() {
                *state = State::Warm;
            }
        }
    }

    /// Runs batches of more than `largest` images plainly from now on. Answers whether that is new.
    pub(super) fn lower_to(&mut self, largest: usize) -> bool {
        let lower = largest < self.largest;
        self.largest = self.largest.min(largest);
        lower
    }

    fn set(&mut self, images: usize, state: State<G>) {
        self.sizes.retain(|(size, _)| *size != images);
        self.sizes.push((images, state));
    }

    fn use_now(&mut self, images: usize) -> Option<&State<G>> {
        let index = self.sizes.iter().position(|(size, _)| *size == images)?;
        let used = self.sizes.remove(index);
        self.sizes.push(used);
        self.sizes.last().map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache on which these sizes have run.
    fn cache(most: usize, sizes: &[usize]) -> GraphCache<char> {
        let mut cache = GraphCache::new(most);
        sizes.iter().for_each(|&size| cache.ran(size));
        cache
    }

    #[test]
    fn the_first_batch_of_a_size_runs_plainly_and_the_next_as_a_graph() {
        let mut cache = cache(2, &[]);
        assert_eq!(cache.step(3), Step::Plainly);
        assert_eq!(cache.step(3), Step::Plainly, "the first one has failed");
        cache.ran(3);
        assert_eq!((cache.step(3), cache.step(4)), (Step::AsGraph, Step::Plainly));
        assert_eq!(cache.graph(3), None);
        cache.keep(3, 'a');
        assert_eq!((cache.step(3), cache.graph(3)), (Step::AsGraph, Some(&'a')));
    }

    #[test]
    fn the_least_recently_used_graph_goes_and_its_size_stays_warm() {
        let mut cache = cache(2, &[1, 2, 3]);
        cache.keep(1, 'a');
        cache.keep(2, 'b');
        cache.step(1);
        cache.keep(3, 'c');
        assert_eq!([1, 2, 3].map(|size| cache.graph(size)), [Some(&'a'), None, Some(&'c')]);
        assert_eq!(cache.step(2), Step::AsGraph);
    }

    #[test]
    fn a_refused_size_stays_plain_and_the_others_do_not() {
        let mut cache = cache(2, &[1, 2]);
        cache.keep(1, 'a');
        cache.refuse(1);
        cache.ran(1);
        cache.drop_graphs();
        assert_eq!((cache.step(1), cache.graph(1)), (Step::Plainly, None));
        assert_eq!(cache.step(2), Step::AsGraph);
    }

    #[test]
    fn graphs_whose_memory_has_moved_are_captured_again() {
        let mut cache = cache(2, &[1, 2]);
        cache.keep(1, 'a');
        cache.drop_graphs();
        assert_eq!((cache.step(1), cache.graph(1)), (Step::AsGraph, None));
    }

    #[test]
    fn what_had_no_room_once_is_not_tried_again() {
        let mut cache = cache(2, &[4, 5]);
        assert!(cache.lower_to(4));
        assert!(!cache.lower_to(4) && !cache.lower_to(8));
        assert_eq!((cache.step(4), cache.step(5)), (Step::AsGraph, Step::Plainly));
        assert!(cache.lower_to(0));
        assert_eq!(cache.step(4), Step::Plainly);
    }
}
