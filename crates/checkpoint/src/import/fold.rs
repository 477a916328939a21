//! Spectral norm folded away: `W / σ` with `σ = uᵀ W v`, from the three forms in which PyTorch has stored it.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use spadework_model::Tensors;

use crate::{CheckpointError, TensorMismatch};

/// What the parametrised form puts between a module's name and its tensors.
const PARAMETRIZED: &str = "parametrizations.weight.original";

/// Tensors without spectral norm, and the vectors that do not fit their weights.
pub(super) struct Folded {
    pub(super) tensors: Tensors,
    /// By the weight they belong to, which is left as it was stored.
    pub(super) vectors: BTreeMap<String, TensorMismatch>,
}

/// Replaces every spectral-normed weight and its vectors by the weight that the network computes with.
///
/// - `weight_orig`, `weight_u`, `weight_v`, and sometimes a `weight` that is derived from them;
/// - the oldest, without `weight_v`: it is `Wᵀu / ‖Wᵀu‖`;
/// - `parametrizations.weight.original` with `parametrizations.weight.0._u` and `._v`.
pub(super) fn fold_spectral_norm(mut tensors: Tensors) -> Result<Folded, CheckpointError> {
    let bases: Vec<(String, Form)> = tensors.keys().filter_map(|name| Form::of(name)).collect();
    let mut vectors = BTreeMap::new();
    for (base, form) in bases {
        let name = format!("{base}weight");
        let names = form.names(&base);
        let [Some(weight), u, v] = [0, 1, 2].map(|part| tensors.remove(&names[part])) else { continue };
        let mismatch = misfits(&names, &weight, u.as_ref(), v.as_ref());
        let weight = match u {
            Some(u) if mismatch.is_empty() => fold(&weight, &u, v.as_ref())?,
            _ => weight,
        };
        if !mismatch.is_empty() {
            vectors.insert(name.clone(), mismatch);
        }
        tensors.insert(name, weight);
    }
    Ok(Folded { tensors, vectors })
}

/// What is wrong with the vectors of a weight that is (out, rest): `u` has length out, `v` rest if it is there.
fn misfits(names: &[String; 3], weight: &Tensor, u: Option<&Tensor>, v: Option<&Tensor>) -> TensorMismatch {
    let rows = weight.dims().first().copied().unwrap_or(1);
    let columns = weight.dims().iter().skip(1).product();
    let misshapen = |name: &String, vector: Option<&Tensor>, length: usize| {
        let found = vector?.dims();
        (found != [length]).then(|| (name.clone(), found.to_vec(), vec![length]))
    };
    TensorMismatch {
        missing: u.is_none().then(|| (names[1].clone(), vec![rows])).into_iter().collect(),
        unexpected: Vec::new(),
        misshapen: misshapen(&names[1], u, rows)
            .into_iter()
            .chain(misshapen(&names[2], v, columns))
            .collect(),
    }
}

#[derive(Clone, Copy)]
enum Form {
    Hook,
    Parametrization,
}

impl Form {
    /// The module's name with its dot, if this is the original weight of a spectral norm.
    fn of(name: &str) -> Option<(String, Self)> {
        let hook = name.strip_suffix("weight_orig").map(|base| (base.to_owned(), Self::Hook));
        hook.or_else(|| name.strip_suffix(PARAMETRIZED).map(|base| (base.to_owned(), Self::Parametrization)))
    }

    /// Original weight, u, v.
    fn names(self, base: &str) -> [String; 3] {
        match self {
            Self::Hook => ["weight_orig", "weight_u", "weight_v"].map(|name| format!("{base}{name}")),
            Self::Parametrization => {
                [PARAMETRIZED, "parametrizations.weight.0._u", "parametrizations.weight.0._v"]
                    .map(|name| format!("{base}{name}"))
            }
        }
    }
}

/// `W / (uᵀ W v)`, W seen as (out, rest). In f64: the sum has thousands of terms.
fn fold(weight: &Tensor, u: &Tensor, v: Option<&Tensor>) -> candle_core::Result<Tensor> {
    let matrix = weight.flatten_from(1)?.to_dtype(DType::F64)?;
    let u = u.flatten_all()?.to_dtype(DType::F64)?.unsqueeze(0)?;
    let projected = u.matmul(&matrix)?; // (1, rest), uᵀ W
    let sigma = match v {
        Some(v) => projected.matmul(&v.flatten_all()?.to_dtype(DType::F64)?.unsqueeze(1)?)?.sum_all()?,
        None => projected.sqr()?.sum_all()?.sqrt()?,
    };
    (weight.to_dtype(DType::F64)? / sigma.to_scalar::<f64>()?)?.to_dtype(DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    /// W = [[3, 0], [0, 4]], u = (0, 1), v = (0, 1): σ = 4.
    fn stored(names: [&str; 3]) -> Tensors {
        let weight = tensor(&[3.0, 0.0, 0.0, 4.0], &[2, 2]);
        let vector = tensor(&[0.0, 1.0], &[2]);
        [(names[0], weight), (names[1], vector.clone()), (names[2], vector)]
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into()
    }

    #[test]
    fn all_three_forms_fold_to_the_same_weight() {
        let hook = stored(["c.weight_orig", "c.weight_u", "c.weight_v"]);
        let mut oldest = hook.clone();
        oldest.remove("c.weight_v");
        let new = stored([
            "c.parametrizations.weight.original",
            "c.parametrizations.weight.0._u",
            "c.parametrizations.weight.0._v",
        ]);
        for form in [hook, oldest, new] {
            let folded = fold_spectral_norm(form).unwrap().tensors;
            assert_eq!(folded.keys().collect::<Vec<_>>(), ["c.weight"]);
            assert_eq!(folded["c.weight"].to_vec2::<f32>().unwrap(), [[0.75, 0.0], [0.0, 1.0]]);
        }
    }

    #[test]
    fn a_derived_weight_is_replaced() {
        let mut tensors = stored(["c.weight_orig", "c.weight_u", "c.weight_v"]);
        tensors.insert("c.weight".to_owned(), tensor(&[9.0; 4], &[2, 2]));
        let folded = fold_spectral_norm(tensors).unwrap().tensors;
        assert_eq!(folded["c.weight"].to_vec2::<f32>().unwrap()[1][1], 1.0);
    }

    #[test]
    fn a_vector_that_does_not_fit_is_named_with_its_weight() {
        let mut tensors = stored(["c.weight_orig", "c.weight_u", "c.weight_v"]);
        tensors.insert("c.weight_v".to_owned(), tensor(&[1.0; 3], &[3]));
        tensors.remove("c.weight_u");
        let folded = fold_spectral_norm(tensors).unwrap();
        assert_eq!(folded.tensors["c.weight"].to_vec2::<f32>().unwrap()[1][1], 4.0, "as it was stored");
        let mismatch = &folded.vectors["c.weight"];
        assert_eq!(mismatch.missing, [("c.weight_u".to_owned(), vec![2])]);
        assert_eq!(mismatch.misshapen, [("c.weight_v".to_owned(), vec![3], vec![2])]);
    }
}
