/** A film that Chromium records itself, made as large on disk as a test needs. */

import { truncate, writeFile } from "node:fs/promises";

/**
 * @param {import("playwright-core").Browser} browser
 * @param {string} file
 * @param {number} size  bytes; behind the film lies an element that players skip
 */
export async function film(browser, file, size) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const bytes = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 90 });
    const paint = canvas.getContext("2d");
    const recorder = new MediaRecorder(canvas.captureStream(20), {
      mimeType: "video/webm;codecs=vp8",
    });
    const pieces = [];
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start(200);
    for (let frame = 0; frame < 50; frame += 1) {
      paint.fillStyle = `hsl(${frame * 7} 60% 50%)`;
      paint.fillRect(0, 0, 160, 90);
      await new Promise((resolve) => setTimeout(resolve, 50)); // Recording happens in real time.
    }
    recorder.stop();
    await stopped;
    return [...new Uint8Array(await new Blob(pieces).arrayBuffer())];
  });
  await context.close();
  // EBML Void: its id, and the length of what follows in eight bytes (RFC 8794).
  const head = Buffer.from([0xec, 1, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUIntBE(size - bytes.length - head.length, 3, 6);
  await writeFile(file, Buffer.concat([Buffer.from(bytes), head]));
  await truncate(file, size);
}
