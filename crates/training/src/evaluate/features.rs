//! Distances between two sets of feature vectors: Fréchet and kernel. With Inception's features and sizes as published
//! they are FID and KID; with others they are what they are called here.

use anyhow::{bail, ensure};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rand::{SeedableRng as _, seq::index};
use rand_chacha::ChaCha8Rng;

use crate::outcome::Mistake;

/// Vectors in a subset of the kernel distance, at most.
const SUBSET: usize = 1000;
/// Subsets that the kernel distance is averaged over.
const SUBSETS: usize = 20;

/// Feature vectors, one a row.
#[derive(Clone, Debug)]
pub struct Features(DMatrix<f64>);

impl Features {
    /// Takes `rows` of one length.
    ///
    /// # Errors
    /// When there are fewer than two, or they differ in length.
    pub fn new(rows: &[Vec<f32>]) -> anyhow::Result<Self> {
        let Some(first) = rows.first() else { bail!("there are no feature vectors") };
        ensure!(rows.len() > 1, "one feature vector has no covariance; give more images");
        ensure!(rows.iter().all(|row| row.len() == first.len()), "feature vectors differ in length");
        let value = |row: usize, column: usize| f64::from(rows[row][column]);
        Ok(Self(DMatrix::from_fn(rows.len(), first.len(), value)))
    }

    fn mean(&self) -> DVector<f64> {
        self.0.row_mean().transpose()
    }

    fn covariance(&self) -> DMatrix<f64> {
        let mean = self.0.row_mean();
        let mut centred = self.0.clone();
        centred.row_iter_mut().for_each(|mut row| row -= &mean);
        centred.tr_mul(&centred) / (self.0.nrows() - 1) as f64
    }

    /// The Fréchet distance of the two sets, each taken as a Gaussian (Heusel et al. 2017):
    /// `|m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)`.
    ///
    /// # Errors
    /// When the vectors' lengths differ.
    pub fn frechet(&self, other: &Self) -> anyhow::Result<f64> {
        self.check(other)?;
        let (one, two) = (self.covariance(), other.covariance());
        let root = square_root(one.clone());
        // tr (C₁ C₂)^½ = tr (C₁^½ C₂ C₁^½)^½, whose matrix is symmetric.
        let product = &root * &two * &root;
        let shared: f64 = eigen(product).eigenvalues.iter().map(|value| value.max(0.0).sqrt()).sum();
        let apart = (self.mean() - other.mean()).norm_squared();
        Ok(apart + one.trace() + two.trace() - 2.0 * shared)
    }

    /// The kernel distance (Bińkowski et al. 2018): the unbiased squared maximum mean discrepancy under
    /// `(xᵀy / d + 1)³`, averaged over subsets drawn from `seed`. It may be negative.
    ///
    /// # Errors
    /// When the vectors' lengths differ.
    pub fn kernel(&self, other: &Self, seed: u64) -> anyhow::Result<f64> {
        self.check(other)?;
        let size = SUBSET.min(self.0.nrows()).min(other.0.nrows());
        if size == self.0.nrows() && size == other.0.nrows() {
            return Ok(discrepancy(&self.0, &other.0));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut subset =
            |all: &DMatrix<f64>| all.select_rows(&index::sample(&mut random, all.nrows(), size).into_vec());
        let sum: f64 = (0..SUBSETS).map(|_| discrepancy(&subset(&self.0), &subset(&other.0))).sum();
        Ok(sum / SUBSETS as f64)
    }

    fn check(&self, other: &Self) -> anyhow::Result<()> {
        let (one, other) = (self.0.ncols(), other.0.ncols());
        if one != other {
            let sentence =
                format!("one set's features have {one} numbers and the other's {other}; use one network");
            return Err(Mistake::error(sentence));
        }
        Ok(())
    }
}

fn discrepancy(one: &DMatrix<f64>, other: &DMatrix<f64>) -> f64 {
    let dimensions = one.ncols() as f64;
    let kernel = |a: &DMatrix<f64>, b: &DMatrix<f64>| {
        (a * b.transpose()).map(|product| (product / dimensions + 1.0).powi(3))
    };
    let within = |points: &DMatrix<f64>| {
        let (kernel, count) = (kernel(points, points), points.nrows() as f64);
        (kernel.sum() - kernel.trace()) / (count * (count - 1.0))
    };
    within(one) + within(other) - 2.0 * kernel(one, other).mean()
}

fn square_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let eigen = eigen(matrix);
    let roots = eigen.eigenvalues.map(|value| value.max(0.0).sqrt());
    &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose()
}

fn eigen(matrix: DMatrix<f64>) -> SymmetricEigen<f64, nalgebra::Dyn> {
    let symmetric = (&matrix + matrix.transpose()) * 0.5;
    SymmetricEigen::new(symmetric)
}
