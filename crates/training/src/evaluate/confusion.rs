//! How well label maps agree.

/// Pixels by their true class (row) and the class that they were taken for (column).
#[derive(Clone, Debug)]
pub struct Confusion {
    classes: usize,
    pixels: Vec<u64>,
}

impl Confusion {
    /// Nothing seen yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, pixels: vec![0; classes * classes] }
    }

    /// Counts a map of true ids and one of found ids, of one length.
    pub fn add(&mut self, truth: &[u8], found: &[u8]) {
        for (&truth, &found) in truth.iter().zip(found) {
            self.pixels[usize::from(truth) * self.classes + usize::from(found)] += 1;
        }
    }

    /// Intersection over union of each class that is true somewhere; none for the others.
    pub fn intersection_over_union(&self) -> Vec<Option<f64>> {
        let at = |truth: usize, found: usize| self.pixels[truth * self.classes + found];
        let sum = |count: &dyn Fn(usize) -> u64| (0..self.classes).map(count).sum::<u64>();
        (0..self.classes)
            .map(|class| {
                let truth = sum(&|found| at(class, found));
                let union = truth + sum(&|truth| at(truth, class)) - at(class, class);
                (truth > 0).then(|| at(class, class) as f64 / union as f64)
            })
            .collect()
    }

    /// The mean over the classes that are true somewhere.
    pub fn mean_intersection_over_union(&self) -> f64 {
        let known: Vec<f64> = self.intersection_over_union().into_iter().flatten().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_nowhere_true_do_not_count() {
        let mut confusion = Confusion::new(4);
        confusion.add(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 3, 2]);
        // Class 0: 2 of 3; class 1: 1 of (2 true + 1 wrongly found); class 2: 1 of 1.
        assert_eq!(confusion.intersection_over_union(), [Some(2.0 / 3.0), Some(1.0 / 3.0), Some(1.0), None]);
        assert!((confusion.mean_intersection_over_union() - 2.0 / 3.0).abs() < 1e-12);
    }
}
