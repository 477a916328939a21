//! Values for tests: they look random and are always the same.

/// A sequence that its seed decides.
pub struct TestNumbers(pub u64);

impl TestNumbers {
    fn step(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0
    }

    /// The next one, uniform in [-1, 1).
    pub fn number(&mut self) -> f32 {
        (self.step() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// The same with the digits of an f64.
    pub fn precise(&mut self) -> f64 {
        (self.step() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// The next whole number from 0 to `bound`, which is not among them.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.number() + 1.0) / 2.0 * bound as f32) as usize
    }

    /// The next `len` of them.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.number()).collect()
    }
}
