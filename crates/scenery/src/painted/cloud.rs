//! Cloud in a painted outline: billows that fray where the outline is, which is where they hide half of the sky.

use crate::clouds::HALF;
use crate::field::Field;
use crate::noise::{Noise, smoothstep};

/// The density at a pixel.
pub(super) fn density(noise: &Noise, field: &Field, x: f32, y: f32) -> f32 {
    let inside = field.at(x, y);
    if inside < -8.0 {
        return 0.0;
    }
    let size = field.inmost.clamp(4.0, 26.0);
    let fray = (0.2 * size).clamp(1.5, 4.0);
    let billow = noise.fbm(x / (0.8 * size) + field.low.x, y / (0.6 * size) + field.low.y, 5.0);
    let edge = inside + 1.5 * fray * billow;
    let heaped = smoothstep(0.0, 0.9 * size, inside) * (0.62 + 0.7 * billow);
    (HALF + 0.2 * edge / fray).clamp(0.0, 0.58) + 0.42 * heaped.clamp(0.0, 1.0)
}
