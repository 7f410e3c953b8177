/** Bitmaps of a file's chunks. */

/**
 * @param {string} base64
 * @returns {Uint8Array}
 */
export function bitmap(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/**
 * How much of each of `columns` equal parts of the file is set, 0 to 1. Bit 0 of a bitmap is the
 * highest of its first byte.
 * @param {Uint8Array} bits
 * @param {number} count  chunks
 * @param {number} columns
 * @returns {Float32Array}
 */
export function shares(bits, count, columns) {
  const parts = new Float32Array(columns);
  for (let column = 0; column < columns; column += 1) {
    const from = Math.floor((column * count) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * count) / columns));
    let set = 0;
    for (let chunk = from; chunk < to; chunk += 1) {
      if (((bits[chunk >> 3] ?? 0) >> (7 - (chunk & 7))) & 1) set += 1;
    }
    parts[column] = set / (to - from);
  }
  return parts;
}
