/**
 * The strip of a file: which of its chunks are here, and which of them went on to others.
 */

import { bitmap, shares } from "../../lib/bitmap.js";

const TALL_PX = 4;

/** @type {WeakMap<Element, {count: number, held: string, served: string}>} */
const chunksOf = new WeakMap();
/** A strip is drawn when it comes into the layout, and anew when its width changes. */
const sized = new ResizeObserver((entries) => entries.forEach(({ target }) => draw(target)));

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{count: number, held: string, served: string}} chunks
 */
export function showChunks(canvas, chunks) {
  if (chunksOf.has(canvas)) {
    chunksOf.set(canvas, chunks);
    draw(canvas);
  } else {
    chunksOf.set(canvas, chunks);
    sized.observe(canvas);
  }
}

function draw(canvas) {
  const { count, held, served } = chunksOf.get(canvas);
  const wide = Math.round(canvas.clientWidth * devicePixelRatio);
  if (wide === 0) return;
  const tall = Math.round(TALL_PX * devicePixelRatio);
  canvas.width = wide;
  canvas.height = tall;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const rows = [
    [shares(bitmap(held), count, wide), style.getPropertyValue("color"), tall],
    [
      shares(bitmap(served), count, wide),
      style.getPropertyValue("outline-color"),
      Math.ceil(tall / 3),
    ],
  ];
  for (const [parts, color, height] of rows) {
    context.fillStyle = color;
    parts.forEach((part, column) => {
      if (part === 0) return;
      context.globalAlpha = 0.25 + 0.75 * part;
      context.fillRect(column, tall - height, 1, height);
    });
  }
}
