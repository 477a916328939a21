//! Whether a mask of another size is sampled to the model's.

use super::{MaskError, Resize};
use crate::Size;

/// How far the aspect ratios of mask and model may lie apart, in percent.
const ASPECT_TOLERANCE: u128 = 2;

/// Checks that a mask of size `given` may be sampled to `wanted`.
///
/// # Errors
/// When the sizes differ and `resize` does not allow that.
pub(super) fn check_size(given: Size, wanted: Size, resize: Resize) -> Result<(), MaskError> {
    let fits = match resize {
        Resize::Nearest => true,
        Resize::Reject => given == wanted,
        Resize::Auto => has_aspect_of(given, wanted),
    };
    match (fits, resize) {
        (true, _) => Ok(()),
        (false, Resize::Auto) => Err(MaskError::WrongAspect { given, wanted }),
        (false, _) => Err(MaskError::WrongSize { given, wanted }),
    }
}

/// Whether width over height is the same within [`ASPECT_TOLERANCE`], in whole numbers: `|a / b - 1| <= 2%`.
fn has_aspect_of(given: Size, wanted: Size) -> bool {
    let given_scaled = given.width as u128 * wanted.height as u128;
    let wanted_scaled = wanted.width as u128 * given.height as u128;
    given_scaled.abs_diff(wanted_scaled) * 100 <= wanted_scaled * ASPECT_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aspect_ratio_may_differ_by_two_percent() {
        let wanted = Size::new(512, 256);
        for (width, height, fits) in [
            (2048, 1024, true),
            (1024, 512, true),
            (102, 50, true),
            (204, 100, true),
            (206, 100, false),
            (196, 100, true),
            (194, 100, false),
            (256, 256, false),
            (256, 512, false),
        ] {
            assert_eq!(has_aspect_of(Size::new(width, height), wanted), fits, "{width}x{height}");
        }
    }

    #[test]
    fn a_refusal_names_both_sizes_and_what_to_do() {
        let (given, wanted) = (Size::new(300, 200), Size::new(256, 256));
        let refused = |resize| check_size(given, wanted, resize).unwrap_err().to_string();
        for text in [refused(Resize::Auto), refused(Resize::Reject)] {
            assert!(text.contains("300x200") && text.contains("256x256"), "{text}");
            assert!(text.contains("`resize=nearest`"), "{text}");
        }
        assert!(check_size(given, wanted, Resize::Nearest).is_ok());
        let scaled = Size::new(512, 512);
        assert!(check_size(scaled, wanted, Resize::Auto).is_ok());
        assert!(check_size(scaled, wanted, Resize::Reject).is_err());
    }
}
