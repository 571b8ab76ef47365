// Drawing boxes and name tags on a canvas.

/** The colour of a class, light enough for black text. */
const colourOf = (label) => `hsl(${360 * (label * 0.618034 % 1)} 95% ${62 + 8 * (label % 3)}%)`;
const textOf = ({name, score: value}) => `${name} ${value.toFixed(2)}`;

/**
 * Draw the boxes, and each tag where it overlaps no other: above or below its box, else inside.
 *
 * factor is the number of canvas pixels for a pixel of the picture, unit that for one of the page.
 */
function drawObjects(canvas, objects, factor, unit) {
  const context = canvas.getContext("2d");
  const taken = [], height = 20 * unit, limit = canvas.height - height;
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const {label, box} of [...objects].reverse()) {
    const [left, top, right, bottom] = box.map((side) => side * factor);
    for (const [colour, line] of [["#0008", 4.5], [colourOf(label), 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = line * unit;
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }
  for (const one of objects) {
    const [left, top, , bottom] = one.box.map((side) => side * factor), text = textOf(one);
    const width = context.measureText(text).width + 8 * unit;
    const x = Math.max(0, Math.min(left, canvas.width - width));
    const isFree = (y) => y >= 0 && y <= limit && !taken.some((tag) =>
      Math.abs(tag.y - y) < height && tag.x < x + width && x < tag.x + tag.width);
    const y = [top - height, bottom, top, bottom - height].find(isFree);
    if (y === undefined) continue;  // There is no room; the list below the picture has the name.
    taken.push({x, y, width});
    context.fillStyle = colourOf(one.label);
    context.fillRect(x, y, width, height);
    context.fillStyle = "#000";
    context.fillText(text, x + 4 * unit, y + height / 2);
  }
}
