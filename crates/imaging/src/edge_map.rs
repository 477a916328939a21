//! Where instances meet: the extra plane of semantics that keeps neighbours of one class apart.

use crate::{InstanceMap, ShapeError, Size};

/// 1 where any of the four neighbours belongs to another instance, else 0; row-major.
/// SPADE, section 4 ("instance maps"), after pix2pixHD, section 3.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeMap {
    size: Size,
    edges: Vec<u8>,
}

impl EdgeMap {
    /// The edges of `instances`, at the same size. The image's border is not an edge.
    pub fn of(instances: &InstanceMap) -> Self {
        let Size { width, height } = instances.size();
        let ids = instances.ids();
        let mut edges = vec![0; ids.len()];
        for (y, row) in ids.chunks_exact(width).enumerate() {
            let start = y * width;
            for x in 1..width {
                if row[x - 1] != row[x] {
                    edges[start + x - 1] = 1;
                    edges[start + x] = 1;
                }
            }
            if y + 1 == height {
                break;
            }
            for x in 0..width {
                if row[x] != ids[start + width + x] {
                    edges[start + x] = 1;
                    edges[start + width + x] = 1;
                }
            }
        }
        Self { size: instances.size(), edges }
    }

    /// Takes `edges` (row-major, 0 or 1, `width * height` of them) as a map.
    ///
    /// # Errors
    /// When the size is empty or not filled, or a value is neither 0 nor 1.
    pub fn new(width: usize, height: usize, edges: Vec<u8>) -> Result<Self, ShapeError> {
        let size = Size::new(width, height);
        size.check(1, edges.len())?;
        if let Some(index) = edges.iter().position(|&edge| edge > 1) {
            return Err(ShapeError::Edge { value: edges[index], x: index % width, y: index / width });
        }
        Ok(Self { size, edges })
    }

    /// The edges, 0 or 1, row-major.
    pub fn edges(&self) -> &[u8] {
        &self.edges
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.size.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.size.height
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(width: usize, height: usize, ids: &[u32]) -> Vec<u8> {
        let at = |x: isize, y: isize| {
            let inside = x >= 0 && y >= 0 && x < width as isize && y < height as isize;
            inside.then(|| ids[y as usize * width + x as usize])
        };
        let edge = |x: isize, y: isize| {
            [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
                .into_iter()
                .any(|(nx, ny)| at(nx, ny).is_some_and(|id| Some(id) != at(x, y)))
        };
        (0..height as isize).flat_map(|y| (0..width as isize).map(move |x| u8::from(edge(x, y)))).collect()
    }

    proptest! {
        #[test]
        fn a_pixel_is_an_edge_exactly_when_a_neighbour_has_another_id(
            (width, height, ids) in (1..9usize, 1..9usize).prop_flat_map(|(width, height)| {
                (Just(width), Just(height), proptest::collection::vec(0..3u32, width * height))
            })
        ) {
            let instances = InstanceMap::new(width, height, ids.clone()).unwrap();
            let edges = EdgeMap::of(&instances);
            prop_assert_eq!(edges.edges(), naive(width, height, &ids));
        }
    }

    #[test]
    fn one_instance_has_no_edges() {
        let instances = InstanceMap::new(4, 3, vec![7; 12]).unwrap();
        assert_eq!(EdgeMap::of(&instances).edges(), [0; 12]);
    }

    #[test]
    fn an_edge_value_of_two_is_refused() {
        let error = EdgeMap::new(2, 1, vec![0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "edge value 2 at column 1, row 0 is neither 0 nor 1");
    }
}
