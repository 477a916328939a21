//! What a model of these sizes takes to run, known from its configuration alone: what no machine can hold is refused before
//! anything is allocated.

use spadework_model::{Architecture, Grid};

/// Bytes of the largest tensor that is served: one activation of one image, in f32.
const LARGEST_TENSOR: u128 = 8 << 30;
/// Cells of the largest mask or image.
const MOST_CELLS: u128 = 1 << 28;

/// Why a model of this architecture is not served, if it takes too much.
pub(crate) fn excess(architecture: &Architecture) -> Option<String> {
    for (name, grid) in [("mask", architecture.mask), ("grid", architecture.grid)] {
        if cells(grid) > MOST_CELLS {
            let Grid { height, width } = grid;
            return Some(format!("`{name}` is {width}x{height}; at most {MOST_CELLS} cells are served"));
        }
    }
    let stages = architecture.stages().into_iter().map(|stage| {
        let channels = stage.input.max(stage.output).max(architecture.hidden).max(architecture.semantic_nc());
        (stage.name, 4 * channels as u128 * cells(stage.grid))
    });
    let (name, bytes) = stages.max_by_key(|(_, bytes)| *bytes)?;
    (bytes > LARGEST_TENSOR).then(|| {
        format!("the sizes ask for {} GiB in `{name}` for one image; at most 8 are served", bytes >> 30)
    })
}

fn cells(grid: Grid) -> u128 {
    grid.height as u128 * grid.width as u128
}

#[cfg(test)]
mod tests {
    use spadework_model::{PublishedOptions, Upsampling};

    use super::*;

    fn architecture() -> Architecture {
        Architecture::published(&PublishedOptions {
            label_nc: 182,
            contain_dontcare_label: true,
            no_instance: false,
            crop_size: 256,
            aspect_ratio: 1.0,
            upsampling: Upsampling::Normal,
            ngf: 64,
            z_dim: 256,
            use_vae: false,
            norm_g: "spectralspadesyncbatch3x3".to_owned(),
        })
        .unwrap()
    }

    #[test]
    fn what_is_published_is_served_and_what_no_machine_holds_is_not() {
        assert_eq!(excess(&architecture()), None);
        let cityscapes = Architecture { grid: Grid { height: 16, width: 32 }, ..architecture() };
        assert_eq!(excess(&cityscapes), None);
        let large = Grid { height: 60_000, width: 60_000 };
        assert!(
            excess(&Architecture { mask: large, ..architecture() })
                .unwrap()
                .contains("`mask` is 60000x60000")
        );
        assert!(excess(&Architecture { grid: large, ..architecture() }).unwrap().contains("`grid`"));
        let product = Architecture { grid: Grid { height: 1024, width: 1024 }, ngf: 4096, ..architecture() };
        assert!(excess(&product).unwrap().contains("GiB"), "each size alone is fine");
    }
}
