/**
 * PNG's row filters undone, in place.
 *
 * @param {Uint8Array} bytes  rows of one filter byte and `stride` bytes
 * @param {number} stride
 * @param {number} height
 * @param {number} pixelBytes  how far left a pixel's neighbour lies
 */
export function unfilter(bytes, stride, height, pixelBytes) {
  for (let row = 0; row < height; row += 1) {
    const start = row * (stride + 1);
    const filter = bytes[start];
    if (filter > 4) throw new Error("The PNG is damaged: a row has an unknown filter.");
    if (filter === 0) continue;
    for (let i = 1; i <= stride; i += 1) {
      const at = start + i;
      const left = i > pixelBytes ? bytes[at - pixelBytes] : 0;
      const up = row > 0 ? bytes[at - stride - 1] : 0;
      const corner = row > 0 && i > pixelBytes ? bytes[at - stride - 1 - pixelBytes] : 0;
      bytes[at] += prediction(filter, left, up, corner);
    }
  }
}

/**
 * @param {number} filter
 * @param {number} left
 * @param {number} up
 * @param {number} corner
 */
function prediction(filter, left, up, corner) {
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  return paeth(left, up, corner);
}

/**
 * The neighbour that is nearest to left + up − corner.
 *
 * @param {number} left
 * @param {number} up
 * @param {number} corner
 */
function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [byLeft, byUp, byCorner] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  if (byLeft <= byUp && byLeft <= byCorner) return left;
  return byUp <= byCorner ? up : corner;
}
