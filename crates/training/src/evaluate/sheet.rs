//! Images side by side.

use spadework_imaging::{LabelMap, RgbImage, ShapeError};

/// Pixels between images.
const GAP: usize = 4;

/// Rows of images of one size, on white.
///
/// # Errors
/// When there are none.
pub fn contact_sheet(rows: &[Vec<RgbImage>]) -> Result<RgbImage, ShapeError> {
    let cell = rows.first().and_then(|row| row.first()).map_or((0, 0), |p| (p.width(), p.height()));
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (columns * (cell.0 + GAP), rows.len() * (cell.1 + GAP));
    let mut pixels = vec![255; 3 * width * height];
    for (row, images) in rows.iter().enumerate() {
        for (column, image) in images.iter().enumerate() {
            let (left, top) = (column * (cell.0 + GAP), row * (cell.1 + GAP));
            for (y, line) in image.pixels().chunks_exact(3 * image.width()).enumerate() {
                let start = 3 * ((top + y) * width + left);
                pixels[start..start + line.len()].copy_from_slice(line);
            }
        }
    }
    RgbImage::new(width, height, pixels)
}

/// A label map in its labels' colours; a label without one is grey.
pub(crate) fn colored(labels: &LabelMap, colors: &[Option<[u8; 3]>]) -> RgbImage {
    let color = |&id: &u8| colors.get(usize::from(id)).copied().flatten().unwrap_or([128; 3]);
    let pixels = labels.ids().iter().flat_map(color).collect();
    RgbImage::new(labels.width(), labels.height(), pixels).expect("a colour for each pixel")
}
