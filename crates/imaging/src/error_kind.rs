//! What sort of mistake an error is, for callers that answer by status rather than by sentence.

/// What sort of mistake a refused file is. Every error of a decoder has one, by its `kind()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Empty, or not an image at all (HTTP 400).
    NotAnImage,
    /// An image that is cut off or corrupt (HTTP 400).
    Damaged,
    /// More bytes or pixels than allowed (HTTP 413).
    TooLarge,
    /// An image, but of a format or feature that is not read here (HTTP 415).
    Unsupported,
    /// A fine image of the wrong width or height (HTTP 422).
    WrongSize,
    /// A fine mask whose pixels do not name labels of the model (HTTP 422).
    UnknownLabels,
}
