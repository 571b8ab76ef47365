// OpenCV's resize of 8-bit images, with its rounding: INTER_AREA if a side shrinks to less than
// half, else INTER_LINEAR.

const ONE = 2048;  // INTER_LINEAR's weights are integers in units of 1/2048.
const round = Math.fround;  // OpenCV computes in 32-bit floating point.

/** The nearest integer; the even one if two are equally near. */
function toEven(value) {
  const below = Math.floor(value), rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below;
}

/** For each new pixel, the first old one that contributes, and the weights from there on. */
function linearTaps(from, to, isArea) {
  const scale = 1 / (to / from);
  return Array.from({length: to}, (_, at) => {
    const place = round((at + 0.5) * scale - 0.5);
    let start = Math.floor(place), rest = place - start;
    if (isArea) {  // OpenCV's INTER_AREA if one side grows
      start = Math.floor(at * scale);
      rest = Math.max(0, round(at + 1 - (start + 1) / scale));
      rest -= Math.floor(rest);
    }
    return [start, [toEven(round(1 - rest) * ONE), toEven(rest * ONE)]];
  });
}

/** The same for INTER_AREA if both sides shrink: how much of the new pixel each old one covers. */
function areaTaps(from, to, isWhole) {
  const scale = 1 / (to / from);
  return Array.from({length: to}, (_, at) => {
    const begin = at * scale, size = Math.min(scale, from - begin), end = begin + size;
    const last = Math.min(Math.floor(end), from - 1), first = Math.min(Math.ceil(begin), last);
    const covers = Array(last - first).fill(1), start = first - (first - begin > 1e-3);
    if (start < first) covers.unshift(first - begin);
    if (end - last > 1e-3) covers.push(Math.min(end - last, 1));
    return [start, covers.map(part => isWhole ? 1 : round(part / size))];
  });
}

/**
 * Resize an image; return its RGB values row by row.
 *
 * read(y) returns a row of the image as RGBA; both sizes are [height, width].
 */
function resize(read, [height, width], [newHeight, newWidth]) {
  const isArea = height > 2 * newHeight || width > 2 * newWidth;
  const areShares = isArea && height >= newHeight && width >= newWidth;
  const isWhole = areShares && height % newHeight === 0 && width % newWidth === 0;
  const share = isWhole ? round(newHeight * newWidth / (height * width)) : 1;  // factor for sums
  const taps = (from, to) =>
    areShares ? areaTaps(from, to, isWhole) : linearTaps(from, to, isArea);
  const inside = (place, limit) => Math.min(Math.max(place, 0), limit - 1);
  const columns = taps(width, newWidth), length = 3 * newWidth;
  const pixels = new Uint8Array(length * newHeight);
  let lines = {};  // rows of the image, resized in width, that the next new row may need again

  function narrowed(y) {
    const source = read(y), result = new Float32Array(length);
    columns.forEach(([start, weights], x) => {
      for (let index = 0; index < weights.length; index++) {
        const from = 4 * inside(start + index, width), weight = weights[index];
        result[3 * x] += round(source[from] * weight);
        result[3 * x + 1] += round(source[from + 1] * weight);
        result[3 * x + 2] += round(source[from + 2] * weight);
      }
    });
    return result;
  }

  taps(height, newHeight).forEach(([start, weights], y) => {
    const known = lines, result = pixels.subarray(length * y, length * (y + 1));
    lines = {};
    const rows = weights.map((_, index) => {
      const row = inside(start + index, height);
      return lines[row] ??= known[row] ?? narrowed(row);
    });
    if (areShares) {
      const sums = new Float32Array(length);
      rows.forEach((row, index) => {
        for (let x = 0; x < length; x++) sums[x] += round(row[x] * weights[index]);
      });
      for (let x = 0; x < length; x++) result[x] = toEven(round(sums[x] * share));
    } else {
      const [above, below] = rows, [a, b] = weights;
      for (let x = 0; x < length; x++) {
        result[x] = (((a * (above[x] >> 4)) >> 16) + ((b * (below[x] >> 4)) >> 16) + 2) >> 2;
      }
    }
  });
  return pixels;
}
